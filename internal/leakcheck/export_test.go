package leakcheck

var Verdict = verdict
