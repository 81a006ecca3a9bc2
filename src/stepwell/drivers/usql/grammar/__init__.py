"""How U-SQL is written: its words, its rules, and the parser that is made of them."""
