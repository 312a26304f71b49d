"""Processes that run other people's code, so that whatever it does to its process stays there.

``worker``
    `Worker`: the process seen from outside, with limits of time and memory
``main``
    the program that runs in it: takes jobs from a pipe, answers in lines of JSON
``jobs``
    the jobs: contributions, outputs, an audit, suspects
``model_state``
    what a call left changed on the model and in the process
``process_memory``
    how much memory a process holds, and held at most
"""
