"""Fills jobset.yaml in: `python render.py --chip tpu|gpu ... -- WORDS OF THE SWEEP`. Needs Python alone.

Every value is put in as JSON, which YAML reads as it is: no value can end its line, or become something else.
"""

import argparse
import json
import string
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("jobset.yaml")
GKE = "cloud.google.com/gke"  # what its labels begin with
PORT = 8476


def _literal(text: str) -> str:
  """Kubernetes puts a variable of its own where $(NAME) stands; $$ is a dollar."""
  return text.replace("$", "$$")


def values(given: argparse.Namespace) -> dict[str, Any]:
  """What stands for each name in the template."""
  env: list[dict[str, Any]] = []
  for setting in given.env:
    name, _, value = setting.partition("=")
    env.append({"name": name, "value": _literal(value)})
  annotations = {}
  if given.chip == "tpu":
    nodes = {f"{GKE}-tpu-accelerator": given.type, f"{GKE}-tpu-topology": given.topology}
    # GKE tells the processes of a slice of each other. A slice is a node pool; all of one belong to one job.
    annotations = {"alpha.jobset.sigs.k8s.io/exclusive-topology": f"{GKE}-nodepool"}
    if given.hosts > 1:
      env.append({"name": "LWLRD_DISTRIBUTED", "value": "1"})
  else:
    nodes = {f"{GKE}-accelerator": given.type}
    # Where GKE puts the driver, in containers whose image knows nothing of it.
    env.append({"name": "LD_LIBRARY_PATH", "value": "/usr/local/nvidia/lib64"})
    if given.hosts > 1:
      index = {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
      env += [
        {"name": "LWLRD_COORDINATOR", "value": f"{given.name}-sweep-0-0.{given.name}:{PORT}"},
        {"name": "LWLRD_PROCESSES", "value": str(given.hosts)},
        {"name": "LWLRD_PROCESS_ID", "valueFrom": index},
      ]
  tolerations = []
  if given.spot:
    nodes[f"{GKE}-spot"] = "true"
    tolerations.append({"key": f"{GKE}-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"})
  return {
    "name": given.name,
    "annotations": annotations,
    "max_restarts": given.max_restarts,
    "hosts": given.hosts,
    "deadline": given.deadline,
    "service_account": given.service_account,
    "node_selector": nodes,
    "tolerations": tolerations,
    "image": given.image,
    "args": [_literal(word) for word in given.words],
    "env": env,
    "limits": {{"tpu": "google.com/tpu", "gpu": "nvidia.com/gpu"}[given.chip]: str(given.chips)},
  }


def main() -> None:
  """Reads the flags, writes the manifest."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--chip", choices=("tpu", "gpu"), required=True)
  parser.add_argument("--topology", help="of a TPU slice")
  parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
  parser.add_argument("--spot", action="store_true")
  for name in ("name", "type", "image", "service-account", "output"):
    parser.add_argument(f"--{name}", required=True)
  for name in ("hosts", "chips", "max-restarts", "deadline"):
    parser.add_argument(f"--{name}", type=int, required=True)
  parser.add_argument("words", nargs="*")
  given = parser.parse_args()
  filled = {name: json.dumps(value) for name, value in values(given).items()}
  Path(given.output).write_text(string.Template(TEMPLATE.read_text()).substitute(filled))


if __name__ == "__main__":
  main()
