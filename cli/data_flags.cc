#include "cli/data_flags.h"

#include "cli/command.h"

namespace lutdb::cli {
namespace {

void AddCsv(CLI::App& app, CLI::Option_group* sources, DataOptions* options) {
  CLI::Option* csv =
      sources->add_option("--csv", options->csv, "Comma-separated values; needs --target")
          ->type_name("FILE");
  CLI::Option* target =
      app.add_option("--target", options->target, "CSV: the column to predict")->type_name("COL");
  csv->needs(target);
  target->needs(csv);
  app.add_option("--columns", options->columns,
                 "CSV: the inputs, in order (default: the graph's, else all other columns)")
      ->delimiter(',')
      ->needs(csv)
      ->type_name("A,B,...");
  app.add_option("--derive", options->derive,
                 "CSV: a further column, of / * + - between columns or numbers, or NAME=COL==TEXT; "
                 "may be repeated")
      ->allow_extra_args(false)
      ->needs(csv)
      ->type_name("NAME=A/B");
  app.add_flag_callback(
         "--no-header", [options] { options->header = false; },
         "CSV: the first line is data; columns are called c1, c2, ...")
      ->needs(csv);
  app.add_flag("--drop-incomplete", options->drop_incomplete,
               "CSV: leave out rows with missing values")
      ->needs(csv);
}

void AddWav(CLI::App& app, CLI::Option_group* sources, DataOptions* options) {
  CLI::Option* wav =
      sources->add_option("--wav", options->wav, "Recordings, CLASS_..._NUMBER.wav, as log spectra")
          ->type_name("DIR|TAR");
  app.add_option("--frames", options->front_end.frames, "Recordings: windows in time")
      ->needs(wav)
      ->capture_default_str();
  app.add_option("--bands", options->front_end.bands, "Recordings: bands of frequency per window")
      ->needs(wav)
      ->capture_default_str();
  app.add_option("--spectrum-window", options->front_end.window, "Recordings: samples per window")
      ->needs(wav)
      ->capture_default_str();
}

}  // namespace

bool DataFlags::given() const {
  return !options.csv.empty() || !options.images.empty() || !options.npy_inputs.empty() ||
         !options.wav.empty();
}

void AddDataFlags(CLI::App& app, CLI::Option_group* sources, DataFlags* flags) {
  DataOptions* options = &flags->options;
  AddCsv(app, sources, options);
  CLI::Option* images =
      sources->add_option("--images", options->images, "Images in idx format, plain or gzipped")
          ->type_name("FILE");
  CLI::Option* labels =
      app.add_option("--labels", options->labels, "Labels in idx format, plain or gzipped")
          ->type_name("FILE");
  images->needs(labels);
  labels->needs(images);
  CLI::Option* inputs =
      sources->add_option("--inputs", options->npy_inputs, "Rows of inputs; needs --targets")
          ->type_name("X.npy");
  CLI::Option* targets = app.add_option("--targets", options->npy_targets,
                                        "A class or real values per row of --inputs")
                             ->type_name("Y.npy");
  inputs->needs(targets);
  targets->needs(inputs);
  AddWav(app, sources, options);
  app.add_option("--classes", options->classes,
                 "Names of the classes in the order of the network's outputs")
      ->delimiter(',')
      ->type_name("A,B,...");
}

void AddHeldOut(CLI::App& app, double* valid_fraction, uint64_t* seed, const std::string& help) {
  CLI::Option* fraction = app.add_option("--valid-fraction", *valid_fraction, help)
                              ->check(Between(0, 1))
                              ->type_name("F");
  app.add_option("--seed", *seed, "Chooses the rows held out")
      ->check(WholeNumber())
      ->needs(fraction)
      ->capture_default_str()
      ->type_name("S");
}

}  // namespace lutdb::cli
