"""A search for schedules: rounds of candidates, each run like any other schedule against every attack."""

import math
from collections.abc import Sequence

from lwlrd_jax.analysis.verdict import Floors, average, find_floors
from lwlrd_jax.config import Start
from lwlrd_jax.disk.results import results_table
from lwlrd_jax.errors import UserError
from lwlrd_jax.plan.jobs import Job
from lwlrd_jax.plan.plan import Plan
from lwlrd_jax.runs.store import Store
from lwlrd_jax.runs.waves import Runner
from lwlrd_jax.search.result import Outcome, Result, combine, describe, recommend
from lwlrd_jax.search.space import Candidate
from lwlrd_jax.search.study import Search
from lwlrd_jax.setup.describe import describe_members
from lwlrd_jax.setup.setup import Setup
from lwlrd_jax.watch.progress import console


def run_search(setup: Setup, runner: Runner, store: Store) -> None:
  """Searches, a population a round, after the plan's jobs; a round's results are on disk before the next one begins.

  A resumed search asks for the same candidates again, and finds their rows in the store.

  Raises:
    UserError: The store has a schedule that this search does not ask for: another version of it did.
  """
  plan, wanted = setup.plan, setup.plan.search
  assert wanted is not None
  search = Search(wanted.space, budget=wanted.budget, population=wanted.population)
  tried: tuple[Job, ...] = ()
  while candidates := search.ask():
    console.print(f"search: round {search.rounds + 1}, {len(candidates)} of {wanted.budget} schedules")
    new = _jobs_of(candidates, plan)
    tried += new
    order = plan.order(tried)
    _check_done(store, order)
    store.record(members=describe_members(plan, plan.jobs + tried))
    runner.run(f"round {search.rounds + 1}", new, order)
    floors = _floors(setup, store)
    search.tell(_result(candidate, plan, store, floors) for candidate in candidates)
    found = describe(search.results, rounds=search.rounds, limits=plan.limits)
    store.record(search=found)
    console.print(f"search: {recommend(search.results, plan.limits).reason}")


def _check_done(store: Store, order: Sequence[str]) -> None:
  """Refuses a run that holds schedules of another search."""
  if set(order) <= set(store.rows):
    return  # a round that is done; there may be others
  strangers = [name for name, row in store.rows.items() if row["defense"] == "lwlrd" and name not in set(order)]
  if strangers:
    raise UserError(
      f"`resume`: {strangers[0]} is of another search; allowed: a new `out`, or the version that began it"
    )


def _jobs_of(candidates: Sequence[Candidate], plan: Plan) -> tuple[Job, ...]:
  """Candidates that differ in their finishers alone are fine-tuned once."""
  found: dict[tuple[Start, str], Job] = {}
  depths = plan.network.depth_of_layer(plan.grid.granularity)
  for candidate in candidates:
    defense = candidate.to_defense(
      batch_size=plan.grid.batch_size,
      optimizer=plan.grid.optimizer,
      train_size=len(plan.data.train),
      depth_of_layer=depths,
    )
    before = found.get((candidate.start, defense.label), Job(candidate.start, defense, (), ()))
    found[candidate.start, defense.label] = before._replace(finishes=(*before.finishes, candidate.finish))
  return tuple(found.values())


def _floors(setup: Setup, store: Store) -> Floors:
  table = results_table(list(store.rows.values()))
  return find_floors(average(table), chance=1 / setup.copies.distinct, stolen=setup.plan.infection.stolen)


def _result(candidate: Candidate, plan: Plan, store: Store, floors: Floors) -> Result:
  """A candidate's rows, of all attacks and infections, as one result."""
  outcomes = []
  for attack in plan.infection.attacks:
    for seed in range(plan.infection.seeds):
      row = store.rows[str(candidate.member._replace(attack=attack, seed=seed))]
      untreated = store.rows[plan.controls(attack, seed)[0]]
      outcomes.append(
        Outcome(
          attack=attack,
          auc_drop_val=_number(untreated["auc_val"]) - _number(row["auc_val"]),
          auc_drop_test=_number(untreated["auc"]) - _number(row["auc"]),
          auc=_number(row["auc"]),
          reid=_number(row["reid"]),
          ssim=_number(row["ssim"]),
          status=str(row["status"]),
          bacc_drop_val=_number(untreated["balanced_accuracy_val"]) - _number(row["balanced_accuracy_val"]),
          bacc_drop_test=_number(untreated["balanced_accuracy"]) - _number(row["balanced_accuracy"]),
          compute=_number(row["compute"]),
          certified_bytes=_number(row["certified_bytes"]),
        )
      )
  return combine(candidate, outcomes, floors, plan.limits)


def _number(cell: object) -> float:
  """A cell of the table; NaN where it is empty."""
  return float(cell) if isinstance(cell, int | float) else math.nan
