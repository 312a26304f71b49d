"""What a study says, to a person: nothing here computes anything with a model.

``judgement``
    what is to be thought of each cell: complete, incomplete, another question, ...; and which agree
``verdicts``, ``sentences``, ``remarks``, ``phrases``
    the verdict on a model, a sentence for each finding, what else was noticed, and how numbers are written
``figures``, ``tables``, ``summaries``
    pictures of the cells, the table with its legend, and counts over many models
``page``
    `write_study_page`: all of it in one HTML file
"""
