"""What dependence.py weighs. Written by `python -m benchmarks._gate_weights`."""

MIN_SCORE = 1.45
WEIGHTS = {
    "always": -7.71,
    "one verb": 3.4,
    "one ending": 4.15,
    "both ask": 1.57,
    "takes up": -0.83,
    "both create": -2.18,
    "leans": -1.92,
    "length": 2.58,
    "acts after reading": -1.24,
}
COMMON = frozenset(
    """
    actions add against already android answer anything api app apply assets audit auth back backend base
    behaviour between blocks both branch break bug build c cache call case cause change check ci claim class
    client code column com comments commit compare compile components config context convert core cost count
    cover create csv current customer data database date days db default delete dependencies deploy describe
    design dev diff docker docs document draft drop edits end endpoint entry env error events example
    existing explain explore export fails failures feature file find first five fix flag follow format frame
    full functions generate get git github give go group handling happens header helper http id image
    implement import include index infra input internal invoices ios issues it's java jobs js json keep key
    labels last leave legacy lib library limits line links list load local lock log long main make map max
    md measure memory message migrate migration minutes missing mode model module most move name need new
    node nothing now numbers old open options order output packages page parser party pass path payments per
    place plan please points port post postgres pr price problems prod profile project public put py python
    query queue rate react read recommendation references release remove replace repo report request
    research results retry return review rounding routes rows rules run s same sample save say scheduler
    schema scripts search second section security see server services set settings severity shop short show
    since size small sources spec split sql src staging start state step still store string style summarise
    summary support table take target task tell template terraform tests text three time timeout tmp token
    tools top touch trace try ts two txt type ui unit update upgrade url usage used users using v1 validate
    values verify version view want web what's whether words work workflows write wrong yaml yml
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
"""Words that many tasks have, whatever they are about: one of them is hardly a sign of dependence."""
