#include "db/keys.h"

#include "base/bytes.h"

namespace lutdb::db {

std::string TileKey(uint32_t table, uint32_t chunk_group, uint16_t neuron_block) {
  std::string key;
  AppendBig(table, &key);
  AppendBig(chunk_group, &key);
  AppendBig(neuron_block, &key);
  return key;
}

std::string RowKey(uint32_t table, uint32_t chunk, uint16_t code, uint16_t neuron_block) {
  std::string key;
  AppendBig(table, &key);
  AppendBig(chunk, &key);
  AppendBig(code, &key);
  AppendBig(neuron_block, &key);
  return key;
}

std::string WeightsKey(uint32_t tensor, uint32_t row_block) {
  std::string key;
  AppendBig(tensor, &key);
  AppendBig(row_block, &key);
  return key;
}

std::string BakedKey(uint32_t table, uint32_t chunk_group, uint16_t neuron_block) {
  return kBakedPrefix + TileKey(table, chunk_group, neuron_block);
}

std::string TableEnd(uint32_t table) {
  std::string key;
  AppendBig(table + 1, &key);
  return key;
}

std::string StepsKey(uint32_t table) { return "steps/" + std::to_string(table); }
std::string InputScalesKey(uint32_t table) { return "input_scales/" + std::to_string(table); }
std::string ThresholdsKey(uint32_t op) { return "thresholds/" + std::to_string(op); }

}  // namespace lutdb::db
