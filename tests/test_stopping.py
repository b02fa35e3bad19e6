"""What becomes of signals, in this very process."""

import os
import signal
import threading

import pytest

from lwlrd_jax import stopping
from lwlrd_jax.watch.progress import phase


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_a_request_that_work_answers_when_it_can(number, code, capsys):
  before = signal.getsignal(number)
  steps = []

  def work() -> None:
    with stopping.signals(), phase("work", 3) as on_steps:
      for step in range(3):
        if step == 1:
          os.kill(os.getpid(), number)
          assert stopping.requested()
        steps.append(step)
        on_steps(1)

  with pytest.raises(stopping.Stopped) as stop:
    work()
  assert steps == [0, 1]
  assert stop.value.code == code
  assert "unfinished work is saved first" in capsys.readouterr().err
  assert signal.getsignal(number) is before
  assert not stopping.requested()


def test_a_second_interrupt_is_one():
  reached = []

  def work() -> None:
    with stopping.signals():
      os.kill(os.getpid(), signal.SIGTERM)
      os.kill(os.getpid(), signal.SIGTERM)  # schedulers repeat themselves
      reached.append(stopping.requested())
      os.kill(os.getpid(), signal.SIGINT)
      reached.append(False)

  with pytest.raises(KeyboardInterrupt):
    work()
  assert reached == [True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_interrupt_is_not_lost_where_python_ignores_exceptions():
  class Deleted:
    def __del__(self):
      os.kill(os.getpid(), signal.SIGINT)
      for _ in range(100):  # Python looks for signals between its instructions
        pass

  def work() -> None:
    with stopping.signals():
      os.kill(os.getpid(), signal.SIGINT)
      deleted = Deleted()
      del deleted
      stopping.check()

  with pytest.raises(KeyboardInterrupt):
    work()


def test_what_another_process_was_asked_counts():
  said = []

  def ask_others(mine):
    said.append(mine)
    return mine or stopping.Stopped("SIGTERM", 143)

  with stopping.signals():
    stopping.listen_to(ask_others)
    with pytest.raises(stopping.Stopped, match="SIGTERM"):
      stopping.check()
  assert said == [None]
  stopping.check()  # nobody is listened to any more


def test_elsewhere_than_in_the_main_thread_signals_are_somebody_else_s():
  handler = signal.getsignal(signal.SIGTERM)
  seen = []

  def work() -> None:
    with stopping.signals():
      seen.append(signal.getsignal(signal.SIGTERM))

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert seen == [handler]
