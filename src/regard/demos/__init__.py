"""Each system from end to end on something that every machine has: `regard demo SYSTEM`.

One file a system, with one function ``run(out, *, device)`` that leaves a folder of pictures and
prints what it did.
"""
