import re

_W = re.compile("\n|[^\t-\r ]+")


def split_words(text):
    return _W.findall(text)
