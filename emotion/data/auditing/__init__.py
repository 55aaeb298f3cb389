"""Finding a dataset's faults before anyone trains on it: see :mod:`emotion.audit`.

``pictures`` lists all pictures, ``seeing`` looks for faces and ``measuring`` measures; ``quality``, ``repeats``,
``framing``, ``label_noise`` and ``votes`` judge; ``documents``, ``table`` and ``page`` tell people.
"""
