"""What a decoder may be told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeSettings:
    """Thresholds of the decoder.

    Attributes:
      peak_threshold: Hough mass from which a local maximum is a candidate.
      peaks_per_anchor: candidates kept of each anchor type.
      max_people: slots of the answer, D.
      suppression_radius: input px; nearer to the same anchor is the same person.
      center_stride: input px per cell of the centre's Hough map.
      center_radius: input px; poses whose centres are nearer are the same person.
      center_radius_min: input px; of people so small that `center_scale` asks for less.
      center_scale: what small people have for `center_radius`, as a fraction of the
        square root of their visible area.
      refine_steps: corrections by short offsets after each step of a walk.
      snap_radius: input px; how far a landing moves to a candidate; 0: stays.
      found_threshold: probability from which an anchor counts as found.
      body_weight: exponent with which the body map lowers confidences; 0: not at all.
      soft_nms: True lowers a person's score by the keypoints that a better person
        claims; False leaves it at the mean of the confidences.
      mask_threshold: embedding distance in units of the person's scale.
      exclusive_masks: True divides a cell between the two nearest people; False gives
        it to everybody within `mask_threshold`.
    """

    peak_threshold: float
    peaks_per_anchor: int
    max_people: int
    suppression_radius: float
    center_stride: int
    center_radius: float
    center_radius_min: float
    center_scale: float
    refine_steps: int
    snap_radius: float
    found_threshold: float
    body_weight: float
    soft_nms: bool
    mask_threshold: float
    exclusive_masks: bool
