"""Borrow a user's model, and give it back exactly as it was.

borrow
    begin here: lend a model in evaluation mode, frozen, on a device and in a dtype
loans
    who holds which module: threads share a loan or wait
attributes, random_generators, memory_pages
    what else is restored: plain attributes, global generators; and memory that is reused from batch to batch
"""
