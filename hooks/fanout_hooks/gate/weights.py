"""What dependence.py weighs. Written by `python -m benchmarks._gate_weights`."""

MIN_SCORE = 1.7
WEIGHTS = {
    "always": -6.44,
    "one verb": 3.29,
    "one ending": 4.13,
    "both ask": 1.68,
    "takes up": -0.92,
    "both create": -2.04,
    "leans": -1.86,
    "length": 2.11,
    "acts after reading": -1.47,
}
COMMON = frozenset(
    """
    add against android answer anything api app assets audit auth back backend base behaviour between blocks
    branch breaking bugs build cache calls cause change check ci class client code column com commit compare
    compile components config context convert core cost count cover create csv current customer data
    database date days db default delete dependencies describe design dev diff docker docs document draft
    edits endpoint entry error events example existing explain explore export fails feature file find first
    five fix flags folder follow format frame full functions generate get git github give go group handling
    happens header http id image implement import include index infra input internal invoices ios issues
    it's jobs js json keep key labels last leave lib library limits line links list load local lock log long
    main make map max md measure memory message migrate migration minutes missing mode model module most
    move name need new node nothing number old open options order output packages page parser party pass
    path payments per place plan please points port post postgres pr price problems profile project public
    py python queries questions queue rate react read readme recommendation references release remove
    replace repo report repository request research result retry return review routes rows rules run s same
    sample save say scheduler schema scripts search section security see server services set settings
    severity shop short show since site size small sources spec split sql src staging start state steps
    still store string style summarise summary support table take target task tell template terraform tests
    text three time tmp token top touch trace translate try ts two txt type ui unit update upgrade upload
    usage used users v1 validate values verify version want web what's whether words work workflows write
    wrong yaml yml
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
"""Words that many tasks have, whatever they are about: one of them is hardly a sign of dependence."""
