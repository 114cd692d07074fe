-- Answers the mark, empty for none.
return mark
