// How fast do the cores decide? Placements of the scheduler core, routing of the router core.
//
//   bench-core_step [--runs N] [--json] [--nodes N] [--pending N] [--churn N]
#include "benchmarks/core_step_router.h"
#include "benchmarks/core_step_scheduler.h"

int main(int argc, char** argv) {
  allot::benchmarks::Report report("core_step", argc, argv);
  if (report.Option("scheduler", 1) != 0) allot::benchmarks::RunSchedulerSection(report);
  if (report.Option("router", 1) != 0) allot::benchmarks::MeasureRouter(report);
  return report.Print();
}
