from exporter.commands.printing import plain, print_table, utc


def test_columns_are_as_wide_as_their_longest_cell_and_lines_end_without_blanks(capsys):
    print_table([("ID", "PATH"), ("0123", "/bin/true"), ("4", "")])
    assert capsys.readouterr().out == "ID    PATH\n0123  /bin/true\n4\n"


def test_control_sequences_of_terminals_are_escaped():
    assert plain("\x1b[2Jbecause\n") == r"\x1b[2Jbecause\x0a"


def test_times_are_utc_and_nonsense_stays_a_number():
    assert utc(951_782_400) == "2000-02-29 00:00:00Z"
    assert utc(1e300) == "1e+300"
