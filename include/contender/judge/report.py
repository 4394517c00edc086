"""x"""
def render(run, decision, contest, results, quarantine, untried):
    return "<h1>" + decision.sentence + "</h1>"
