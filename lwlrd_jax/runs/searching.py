"""A search for schedules: rounds of candidates, each run like any other schedule against every attack."""

import math
from collections.abc import Sequence

from lwlrd_jax.analysis.verdict import Floors, average, find_floors
from lwlrd_jax.disk.results import results_table
from lwlrd_jax.errors import UserError
from lwlrd_jax.plan.jobs import Job, controls_of, table_order
from lwlrd_jax.plan.resolve import Resolved, space_of
from lwlrd_jax.runs.store import Store
from lwlrd_jax.runs.waves import run_jobs
from lwlrd_jax.search.front import describe, recommend
from lwlrd_jax.search.result import Outcome, Result, combine
from lwlrd_jax.search.space import Candidate
from lwlrd_jax.search.study import Search
from lwlrd_jax.setup.describe import describe_members
from lwlrd_jax.setup.setting import Setting
from lwlrd_jax.watch.progress import console


def run_search(setting: Setting, resolved: Resolved, jobs: Sequence[Job], store: Store) -> None:
  """Searches, a population a round; what a round finds is in the run directory before the next one begins.

  A stopped search that goes on asks for the same candidates again, and finds those that were run done.

  Args:
    setting: What all schedules share.
    resolved: Defaults of the fine-tuning.
    jobs: What was run before the search: baselines.
    store: What is done, the controls of every attack among it.

  Raises:
    UserError: A schedule that is done is none that this search asks for: another version of it did.
  """
  flags = setting.config.searching
  assert flags.search is not None
  space = space_of(setting.config, resolved, setting.network)
  search = Search(space, budget=flags.search, population=flags.population)
  tried = list(jobs)
  while candidates := search.ask():
    console.print(f"search: round {search.rounds + 1}, {len(candidates)} of {flags.search} schedules")
    new = _jobs_of(candidates, setting, resolved)
    tried += new
    order = table_order(setting.attacks, tried, setting.seeds)
    _check_done(store, order)
    store.record(**describe_members(setting, tried))
    run_jobs(setting, new, store, order)
    floors = _floors(setting, store)
    search.tell(_result(candidate, setting, store, floors) for candidate in candidates)
    found = describe(search.results, rounds=search.rounds, max_auc_drop=flags.max_auc_drop)
    store.record(search=found)
    console.print(f"search: {recommend(search.results, flags.max_auc_drop).reason}")


def _check_done(store: Store, order: Sequence[str]) -> None:
  """Refuses to go on beside schedules that the search did not ask for: what it finds would not be of what is there."""
  if set(order) <= set(store.rows):
    return  # a round that is done; there may be others
  strangers = [name for name, row in store.rows.items() if row["defense"] == "lwlrd" and name not in set(order)]
  if strangers:
    raise UserError(
      f"--resume: {strangers[0]} is of another search; allowed: a new --out, or the version that began it"
    )


def _jobs_of(candidates: Sequence[Candidate], setting: Setting, resolved: Resolved) -> list[Job]:
  """Candidates that differ in their finishing steps alone are fine-tuned once."""
  by_label: dict[str, Job] = {}
  depths = setting.network.depth_of_layer(resolved.granularity)
  for candidate in candidates:
    defense = candidate.to_defense(
      batch_size=resolved.batch_size,
      optimizer=setting.config.tuning.optimizer,
      train_size=len(setting.train),
      depth_of_layer=depths,
    )
    before = by_label.get(defense.label, Job(defense, (), ()))
    by_label[defense.label] = before._replace(finishes=(*before.finishes, candidate.finish))
  return list(by_label.values())


def _floors(setting: Setting, store: Store) -> Floors:
  table = results_table(list(store.rows.values()))
  return find_floors(average(table), chance=1 / setting.copies.distinct, stolen=setting.origin.stolen)


def _result(candidate: Candidate, setting: Setting, store: Store, floors: Floors) -> Result:
  """A candidate's rows, of all attacks and infections, as one result."""
  outcomes = []
  for attack in setting.attacks:
    for seed in range(setting.seeds):
      row = store.rows[f"{attack.name}-{candidate.label}-s{seed}"]
      untreated = store.rows[controls_of(attack, setting.attacks, seed)[0]]
      outcomes.append(
        Outcome(
          attack=attack.name,
          auc_drop_val=_number(untreated["auc_val"]) - _number(row["auc_val"]),
          auc_drop_test=_number(untreated["auc"]) - _number(row["auc"]),
          auc=_number(row["auc"]),
          reid=_number(row["reid"]),
          ssim=_number(row["ssim"]),
          status=str(row["status"]),
        )
      )
  return combine(candidate, outcomes, floors)


def _number(cell: object) -> float:
  """A cell of the table; NaN where it is empty."""
  return float(cell) if isinstance(cell, int | float) else math.nan
