// What every benchmark prints: figures with their spread and the bound they are held to, and the
// machine they were measured on. As a table for people, or with --json as one object.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lutdb::bench {

// Median of repeated measurements, and how far the middle half of them spreads.
struct Measured {
  double median = 0;
  double low = 0;   // 25 % of the measurements lie below
  double high = 0;  // 25 % above
};
Measured Summarize(std::vector<double> values);

// Seconds of one call.
double SecondsOf(const std::function<void()>& work);

// Ratios a/b of `rounds` pairs of calls run in turn, so that a slow moment of the machine meets
// both; the order within a pair alternates.
Measured PairedRatio(int rounds, const std::function<double()>& a,
                     const std::function<double()>& b);

class Report {
 public:
  // at_least: the bound is a lower one.
  void Add(const std::string& name, const Measured& value, double bound, bool at_least,
           const std::string& what);
  // A figure that could not be measured, because of what is missing.
  void Missing(const std::string& name, double bound, bool at_least, const std::string& why);
  void Note(const std::string& name, const Measured& value, const std::string& what);
  // {"machine", "isa", "build", "figures": [{"name", "value", "spread", "bound", "holds"}]}
  std::string Json() const;
  std::string Text() const;
  bool all_hold() const;

 private:
  struct Figure {
    std::string name, what, bound;
    Measured value;
    bool holds = true;
    bool missing = false;
  };
  std::vector<Figure> figures_;
};

}  // namespace lutdb::bench
