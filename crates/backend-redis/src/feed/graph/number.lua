-- Answers the next number.
return next_number()
