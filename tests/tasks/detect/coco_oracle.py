"""The same detections judged by pycocotools and faster-coco-eval."""

import contextlib
import io

import faster_coco_eval
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def judged(truths, detections, classes, *, faster=False):
    """An evaluator after `summarize`; categories are 1 .. K."""
    annotations, rows = [], []
    for number, (truth, found) in enumerate(zip(truths, detections, strict=True), start=1):
        for one in truth.objects:
            left, top, right, bottom = one.corners
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": one.index + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(one.kind == "crowd"),
                }
            )
        for corners, label, probability in zip(found.corners, found.labels, found.probabilities, strict=True):
            left, top, right, bottom = corners.tolist()
            rows.append(
                {
                    "image_id": number,
                    "category_id": int(label) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(probability),
                }
            )
    data = {
        "info": {},
        "images": [{"id": number, "height": 1000, "width": 1000} for number in range(1, len(truths) + 1)],
        "categories": [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        if faster:
            coco = faster_coco_eval.COCO(data)
            evaluator = faster_coco_eval.COCOeval_faster(coco, coco.loadRes(rows), iouType="bbox")
        else:
            coco = COCO()
            coco.dataset = data
            coco.createIndex()
            evaluator = COCOeval(coco, coco.loadRes(rows), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def per_class(evaluator, size=0):
    """(K, T) average precisions, NaN where a class has no objects."""
    precision = np.asarray(evaluator.eval["precision"])[:, :, :, size, -1]
    return np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1)).T
