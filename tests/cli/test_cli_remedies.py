"""Fixes in messages of the command line: commands and options that work, or plain words."""

import argparse
import ast
import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.cli import main, remedies
from xaq.cli.calls import Command
from xaq.cli.command import _parser

ROOT = Path(xaq.__file__).parent
GIVEN = {
    "check": "check obs.csv --tz UTC",
    "repair": "repair obs.csv -o r.nc",
    "train": "train obs.csv --tz UTC -o m.xaq",
    "verify": "verify m.xaq obs.csv",
    "reanalyze": "reanalyze m.xaq obs.csv --store c.zarr",
    "estimate": "estimate m.xaq obs.csv --points p.csv -o e.csv",
    "info": "info c.zarr",
    "plot": "plot series c.zarr obs.csv --station a -o s.png",
}


@cache
def given(verb):
    return Command.of(_parser().parse_args(shlex.split(GIVEN[verb])))


# -- every fix of the library --------------------------------------------------------------------------------------


def text_of(node):
    """Return a text of the source, with what is put into it at run time as a plausible value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            v.value if isinstance(v, ast.Constant) else "'a'" if v.conversion == 114 else "b" for v in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = text_of(node.left), text_of(node.right)
        return None if None in parts else "".join(parts)
    return None


def fixes():
    """Return every fix that is written in the library, by folder."""
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        folder = path.relative_to(ROOT).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = text_of(node.value if isinstance(node, (ast.keyword, ast.Assign)) else node)
            if isinstance(node, ast.keyword) and node.arg == "fix" and text:
                found.add((folder, text))
            elif text and "fix: " in text and folder != "cli":
                found |= {(folder, part) for part in text.split("fix: ")[1:] if part.count("(") == part.count(")")}
    return sorted(found)


#: The commands that call what is in a folder.
CALLERS = {
    "readers": ["check", "train"], "quality": ["check", "repair"], "stations": ["check", "train", "reanalyze", "estimate"],
    "training": ["train"], "evaluate": ["verify", "plot"], "cube": ["reanalyze", "estimate", "info", "plot"], "plot": ["plot"],
}  # fmt: skip
EVERY = [(verb, fix) for folder, fix in fixes() for verb in CALLERS.get(folder, list(GIVEN))]


def test_there_are_fixes_to_look_at():
    assert len(EVERY) > 400


def test_no_fix_leaves_python_that_is_not_called_so():
    """Options in a fix are options of the command; commands parse; the rest is words."""
    wrong = []
    for verb, fix in EVERY:
        command = given(verb)
        if "bds." in fix:
            continue  # words that are put together at run time
        done = remedies.as_command(fix, command)
        if done.startswith("in Python: "):
            continue
        if re.search(r"ds\.|\b(xr|np|pd|xaq)\.|\w = ", done):
            wrong.append(f"{verb}: {fix} -> {done}")
        known = set(command.options.values())
        if "xaq " not in done and (unknown := set(re.findall(r"(?<!\w)--[a-z][a-z-]+", done)) - known):
            wrong.append(f"{verb}: {unknown} of {done}")
    assert not wrong, "\n".join(wrong)


def test_few_fixes_stay_python_where_a_verb_of_the_library_has_a_command():
    """Calls of verbs that have a command, and arguments that have an option, become these."""
    left = [
        f"{verb}: {fix}"
        for verb, fix in EVERY
        if remedies.as_command(fix, given(verb)).startswith("in Python")
        and re.search(r"^(ds = )?ds\.aq\.(repair|check|hide|verify|convert_units)\((?!.*[\[{]b)", fix)
        and not re.search(r"ds\.aq\.hide\(ds\.|by=", fix)
    ]
    assert not left, "\n".join(left)


@pytest.mark.parametrize(
    ("verb", "fix", "command"),
    [
        ("check", "tz='UTC' or tz='Asia/Shanghai'", "--tz UTC or --tz Asia/Shanghai"),
        ("check", "columns={'time': 'your column'}, with hours", "--columns 'time=your column', with hours"),
        ("check", "columns={'station': ['a', 'b']}", "--columns station=a,station=b"),
        ("check", "open with the right tz=", "open with the right --tz"),
        ("check", "ds.aq.repair(stuck='missing')", "xaq repair obs.csv --tz UTC --stuck missing -o repaired.nc"),
        ("check", "ds.aq.repair(units={'co': {'s1': 'mg m-3'}})",
         "xaq repair obs.csv --tz UTC --correct-units 'co:s1=mg m-3' -o repaired.nc"),
        ("check", "ds.aq.repair(shift_hours=-1), or the other network by +1",
         "xaq repair obs.csv --tz UTC --shift-hours=-1 -o repaired.nc\nor the other network by +1"),
        ("repair", "ds.aq.repair(off_step='nearest', irregular='fill')", "--off-step nearest --irregular fill"),
        ("repair", "add to the same call off_step='nearest', irregular='fill'",
         "add to the same command --off-step nearest --irregular fill"),
        ("repair", "far={'s1': (10.0, 50.0)}", "--far s1=10.0/50.0"),
        ("train", "ds.aq.hide(fraction=0.15)", "--hide 0.15"),
        ("verify", "ds.aq.train('pm25')", "xaq train obs.csv --target pm25 -o model.xaq"),
        ("verify", "by=None", "no --by-station"),
        ("reanalyze", "time=slice('2020', '2021'), or another init=", "--time 2020/2021, or another --init"),
        ("reanalyze", "xaq.Grid.regular(0.1, bounds=(5, 47, 16, 55)), or grid=0.1",
         "--grid 0.1 --bounds 5,47,16,55, or --grid 0.1"),
        ("reanalyze", "update=True keeps the cube, overwrite=True replaces it", "--update keeps the cube, --overwrite replaces it"),
        ("reanalyze", "ds.aq.reanalyze('kriging', ...)", "xaq reanalyze kriging obs.csv --store c.zarr"),
        ("info", "ds.aq.reanalyze(..., store=...) makes one", "xaq reanalyze model.xaq OBSERVATIONS --store c.zarr\nmakes one"),
        ("verify", "train again: ds.aq.train('pm25'), or by=None", "train again:\nxaq train obs.csv --target pm25 -o model.xaq\nor no --by-station"),
        ("plot", "ds.aq.reanalyze('idw', store='i.zarr')", "xaq reanalyze idw obs.csv --store i.zarr"),
        ("plot", "ds.aq.plot.series(cube, 's1')", "xaq plot series c.zarr obs.csv --station s1 -o figure.png"),
        ("check", "add them to the list, or leave them out: table = table[table.x > 0]", "add them to the list"),
        ("check", "table['time'] = pd.to_datetime(table['time'], format='%Y'), or in the order of these times",
         "in Python: table['time'] = pd.to_datetime(table['time'], format='%Y'), or in the order of these times"),
        ("check", "pip install openpyxl", "pip install openpyxl"),
        ("estimate", "'ug m-3'", "'ug m-3'"),
    ],
)  # fmt: skip
def test_arguments_become_options_and_calls_commands(verb, fix, command):
    assert remedies.as_command(fix, given(verb)) == command


def test_a_command_in_a_fix_is_the_whole_of_its_line():
    """It runs as it is pasted: no words stand behind it."""
    for verb, fix in EVERY:
        done = (
            remedies.as_command(fix, given(verb))
            .replace("--off-step a ", "--off-step nearest ")
            .replace("--freq a ", "--freq D ")
        )
        for line in done.split("\n"):
            if not done.startswith("in Python") and line.startswith("xaq "):
                assert _parser().parse_args(shlex.split(line)[1:]).verb, line


def test_lines_of_a_fix_are_indented_below_it():
    message = "no interval; fix: ds.aq.reanalyze('kriging', ...), or a trained model"
    shown = remedies.in_message(message, given("plot"))
    assert shown == "no interval; fix: xaq reanalyze kriging obs.csv --store cube.zarr\n  or a trained model"


def test_the_zone_of_periods_is_told_from_that_of_timestamps():
    parsed = _parser().parse_args([*shlex.split(GIVEN["reanalyze"]), "--period-tz", "Berlin", "--tz", "UTC"])
    command = Command.of(parsed)
    message = "tz is 'Berlin', expected a zone; fix: tz='Europe/Berlin'"
    assert remedies.in_message(message, command).endswith("fix: --period-tz Europe/Berlin")
    assert remedies.in_message(message.replace("Berlin'", "Rome'"), command).endswith("fix: --tz Europe/Rome")


# -- applied -------------------------------------------------------------------------------------------------------


def apply(arguments, fix):
    """Run the first command or option of a fix: a command as it is, an option in the command that was refused."""
    fix = fix[re.search(r"xaq |--", fix).start() :]
    words = shlex.split(re.split(r", or | or |, if |; | for | before | without | \(", fix)[0])
    if words[0] == "xaq":
        return main(words[1:])
    left = list(arguments)
    parsed = _parser().parse_args(arguments)
    flags = {a.option_strings[-1]: a for a in parsed.parser._actions if a.option_strings}
    while words:
        option = words.pop(0)
        takes = not isinstance(flags[option], argparse._StoreTrueAction)
        if option in left:
            del left[left.index(option) : left.index(option) + 1 + takes]
        left += [option, words.pop(0)] if takes else [option]
    return main(left)


def refused(arguments, capsys):
    """Run a command that is refused, and return its one fix."""
    capsys.readouterr()
    assert main(arguments) in (1, 2)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "fix: " in line]
    return line.partition("fix: ")[2]


@pytest.fixture
def files(with_model, here):
    """The network's files under short names, and others with one fault each."""
    for name in ("obs.csv", "stations.csv", "m.xaq", "c.zarr"):
        (here / name).symlink_to(with_model / name)
    table = pd.read_csv("obs.csv")
    table.rename(columns={"time": "moment"}).to_csv("moment.csv", index=False)
    wide = table.pivot(index="time", columns="station", values="pm25").reset_index()
    wide.to_csv("wide.csv", index=False)
    table.assign(station=table.station.str.replace("s0", "š0")).to_csv("latin.csv", index=False, encoding="cp1250")
    ds = xaq.datasets.synthetic(n_stations=5, days=1)
    ds.isel(time=[0, 1, 2, 4, 5, 6, 7]).assign_coords(time=ds.time[[0, 1, 2, 4, 5, 6, 6]]).to_netcdf("off.nc")
    places = pd.read_csv("stations.csv")
    places.rename(columns={"lon": "x"}).to_csv("x.csv", index=False)
    places.assign(lon=40.0).to_csv("far.csv", index=False)
    places.assign(station=places.station.str.replace("s0", "š0")).to_csv(
        "latin-list.csv", index=False, encoding="cp1250"
    )
    return here


D = "--stations stations.csv --tz UTC --units no2=ppb"
REFUSED = {
    "no zone": "check obs.csv --stations stations.csv",
    "unknown zone": "check obs.csv --stations stations.csv --tz Mars",
    "wide without pollutant": "check wide.csv --stations stations.csv --tz UTC",
    "wrong step": f"check obs.csv {D} --step 7min",
    "encoding": "check latin.csv --stations latin-list.csv --tz UTC",
    "unknown encoding": f"check obs.csv {D} --encoding nonsense",
    "two pollutants": f"reanalyze idw obs.csv {D} --grid 0.5 --store new.zarr",
    "repair of values off the step": "repair off.nc --negative missing -o r.nc",
    "units that are none": f"repair obs.csv {D} --correct-units pm25=apples -o r.nc",
    "negative grid": f"reanalyze idw obs.csv {D} --target pm25 --grid -1 --store new.zarr",
    "grid that is none": f"reanalyze idw obs.csv {D} --target pm25 --grid fine --store new.zarr",
    "bounds": f"reanalyze idw obs.csv {D} --target pm25 --grid 0.5 --bounds 11,49,9,51 --store new.zarr",
    "far points": f"estimate idw obs.csv {D} --target pm25 --points far.csv -o e.csv",
    "level": f"reanalyze idw obs.csv {D} --target pm25 --grid 0.5 --level 2 --store new.zarr",
    "period": f"reanalyze idw obs.csv {D} --target pm25 --grid 0.5 --time 2031 --store new.zarr",
    "period zone": f"reanalyze idw obs.csv {D} --target pm25 --grid 0.5 --period-tz Berlin --freq D --store new.zarr",
    "irregular times": "estimate idw off.nc --points far.csv -o e.csv",
    "nothing hidden": f"verify idw obs.csv {D} --target pm25",
    "points without lon": f"estimate idw obs.csv {D} --target pm25 --points x.csv -o e.csv",
    "model in other units": "estimate m.xaq obs.csv --stations stations.csv --tz UTC --units 'no2=ppb,pm25=mg m-3' --points stations.csv -o e.csv",
    "station that is none": f"plot series idw obs.csv {D} --target pm25 --station zz -o s.png",
    "no scores by horizon": f"plot skill m.xaq obs.csv {D} -o s.png",
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_fix_works(files, case, capsys):
    arguments = shlex.split(REFUSED[case])
    fix = refused(arguments, capsys)
    fix = fix.replace("your column", "time").replace("COLUMN", "x")
    assert apply(arguments, fix) == 0, (fix, capsys.readouterr().err)


def test_every_fix_of_the_report_works(files, capsys):
    table = pd.read_csv("obs.csv")
    table.loc[table.station == "s004", "pm25"] = 30.0
    table.loc[5, "pm25"] = 99999
    table.to_csv("bad.csv", index=False)
    places = pd.read_csv("stations.csv")
    places.loc[3, ["lon", "lat"]] = 0.0
    places.loc[[4], ["lon", "lat"]] = places.loc[[4], ["lat", "lon"]].to_numpy()
    places.to_csv("bad-list.csv", index=False)
    assert (
        main(["check", "bad.csv", "--stations", "bad-list.csv", "--tz", "UTC", "--units", "no2=ppb", "--csv", "r.csv"])
        == 0
    )
    report = pd.read_csv("r.csv").dropna(subset=["fix"])
    assert {"unplaced", "stuck", "impossible"} <= {*report.problem}
    for fix in report.fix.unique():
        assert fix.startswith("xaq repair bad.csv --stations bad-list.csv --tz UTC --units no2=ppb ")
        assert main(shlex.split(fix.splitlines()[0])[1:]) == 0
        assert "xaq repair: " in capsys.readouterr().out, "it says what it changed"
    assert np.isfinite(xaq.open_stations("repaired.nc").lon).all()


def test_notes_have_commands_too(files, capsys):
    pd.read_csv("obs.csv").assign(pm25=lambda t: t.pm25.where(t.index != 3, 99999.0)).to_csv("high.csv", index=False)
    asked = ["--target", "pm25", "--grid", "0.5", "--time", "2020-01-01", "--store", "new.zarr"]
    assert main(["reanalyze", "idw", "high.csv", *shlex.split(D), *asked]) == 0
    message = capsys.readouterr().err
    assert (
        "fix: xaq repair high.csv --stations stations.csv --tz UTC --units no2=ppb --impossible missing -o repaired.nc"
        in message
    )
