"""What a checkout of YOLOv5 takes to train with decoupled heads, and whether it works.

`decoupled` is the file that goes into the checkout, `apply` puts it there and
makes the few-line change, `check` tries all of it on a copy of the checkout.
Nothing of YOLOv5's own code is in here.
"""
