"""The Transpose attack, and thieves of its family who know the defence."""

from lwlrd_jax.attacks.transpose.flat import Flat
from lwlrd_jax.attacks.transpose.heavy import Heavy
from lwlrd_jax.attacks.transpose.plain import Transpose
from lwlrd_jax.attacks.transpose.rehearsed import Rehearsed
from lwlrd_jax.attacks.transpose.restorer import Restorer

__all__ = ["KNOWS", "Flat", "Heavy", "Rehearsed", "Restorer", "Transpose"]

# What each thief knows, by the attack's name, for people to read.
KNOWS = {
  Transpose.name: (
    "Knows of no defence. He trains the model, chooses the images and their index codes, and keeps the codes and "
    "how many images of each class there are."
  ),
  Heavy.name: (
    "Expects a defence with Adam, whose steps are of one size, however large a weight is. He trains his memories at "
    "three times the rate, into larger weights."
  ),
  Flat.name: (
    "Knows that the weights will be changed after he is done, but not how. He trains his memories so that the worst "
    "small change of the weights does them little harm."
  ),
  Rehearsed.name: (
    "Expects the defence: layer-wise learning-rate decay with Adam and a cosine schedule, some decay from "
    f"{Rehearsed.decays[0]} to {Rehearsed.decays[1]} and some rate from half to three halves of the usual one, "
    "whatever is chosen in the end. He fine-tunes in rehearsal while he trains, and trains his memories to be there "
    "afterwards."
  ),
  Restorer.name: (
    "Needs to know nothing of the defence but that he will get the defended weights. He has public images of the same "
    "kind, lets the model memorise them along with the stolen ones, and learns from what became of them how to restore "
    "the others."
  ),
}
