"""What dependence.py weighs. Written by `python -m benchmarks._gate_weights`."""

MIN_SCORE = 1.2
WEIGHTS = {
    "always": -5.67,
    "one verb": 4.32,
    "one ending": 4.37,
    "both ask": 1.57,
    "both create": -2.53,
    "leans": -2.16,
    "says little": -1.95,
    "long answer": 1.37,
    "words of an answer": -2.01,
    "words of its own": 1.12,
    "begins as the first": -0.29,
    "acts after reading": -1.85,
}
COMMON = frozenset(
    """
    add against answer anything api app assets audit auth back backend base behaviour benchmark between
    blocks both branch breaking bugs build bump c cache calls case cause change check ci claim class client
    code column com comments commit compare compile components config context convert core cost count cover
    create csv current customer data database date days db default delete dependencies describe design dev
    diff docker docs document draft edits end endpoint entry error events example existing explain explore
    export fails failures feature file find first five fix flags follow format frame full functions generate
    get git github give go group guide handling happens header http id image implement import include index
    infra input internal invoices issues it's java jobs js json keep key labels last leave legacy lib
    library limits line links list load local lock log long main make map max md measure memory messages
    method migrate migration minutes missing mode model module most move name need new node nothing number
    old open options order output packages page parser pass path payments per place plan please points port
    post postgres pr price problems profile project public put py python query queue rate react read readme
    recommendation references release remove replace repo report request research result retry return review
    root rounding routes rows rules run s same sample save say scheduler schema scripts search second
    section security see server services set settings severity shop short show since size sources spec split
    sql src staging start state steps still store string style summarise summary support table take target
    task tell template terraform tests text three time timeout tmp token tools top touch trace try ts two
    txt type ui unit update upgrade usage used users v1 validate values verify version want web what's
    whether words work workflows write wrong yaml yml
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
"""Words that many tasks have, whatever they are about: one of them is hardly a sign of dependence."""
