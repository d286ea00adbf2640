import unittest

from wordtools import words


class WordsTest(unittest.TestCase):
    def test_words_are_split_at_white_space(self) -> None:
        assert words("to be  or not") == ["to", "be", "or", "not"]
