package audit

import "regexp"

// untilPipe is the rest of a command and a pipe into what runs its input: a
// shell, or an interpreter that is given no program of its own (python3 -m
// json.tool has one).
const untilPipe = `(?:[^;&]|&[^&])*\|\s*(?:sudo\s+(?:-\S+\s+)*)?(?:\S*/)?(?:(?:ba|da|z|k|a)?sh\b|(?:python[0-9.]*|perl|php|ruby|node)(?:\s+-)?\s*(?:$|[;&|>)]))`

// Patterns that many lines are compared with; nothing writes to them.
var (
	portText        = regexp.MustCompile(`(?:--dports? |\bdport )([0-9]+)(?:$|[ ,])`)
	udpText         = regexp.MustCompile(`-p udp|\budp\b`)
	kernelThread    = regexp.MustCompile(`^(kworker|kthreadd|ksoftirqd|migration|rcu_|kswapd|khugepaged|kdevtmpfs)`)
	minerName       = regexp.MustCompile(`^(xmrig|xmr-stak|minerd|cpuminer|kdevtmpfsi|kinsing|ccminer|t-rex|nbminer|ethminer)`)
	minerLine       = regexp.MustCompile(`stratum\+(tcp|ssl|tls)://|--donate-level|randomx`)
	fetchAndRun     = regexp.MustCompile(`\b(curl|wget|fetch|lwp-download)\b` + untilPipe + `|\b(ba|da|z)?sh\b\s+(-c\s+)?["'<(]*\$?\(?\s*(curl|wget)\b|base64\s+(-d|--decode|-D)` + untilPipe)
	interpreterName = regexp.MustCompile(`^(perl|python|php|ruby|lua|node|tclsh|sh|bash|dash|zsh|ksh|busybox)[0-9.]*$`)

	developmentLines = []struct {
		name string
		line *regexp.Regexp
	}{
		{"python -m http.server", regexp.MustCompile(`python\S* .*-m (http\.server|SimpleHTTPServer)`)},
		{"Django's runserver", regexp.MustCompile(`manage\.py runserver`)},
		{"Flask's server", regexp.MustCompile(`(flask|-m flask)( \S+)* run\b`)},
		{"uvicorn --reload", regexp.MustCompile(`uvicorn .*--reload`)},
		{"PHP's built-in server", regexp.MustCompile(`^\S*php\S* .*-S \S+`)},
		{"a Node development server", regexp.MustCompile(`\b(vite|webpack(-dev-server)?|next dev|react-scripts|ng serve|nodemon|vue-cli-service)\b`)},
		{"Rails' server in development", regexp.MustCompile(`\brails (server|s)\b`)},
		{"Hugo or Jekyll", regexp.MustCompile(`\b(hugo|jekyll) (server|serve)\b`)},
	}
)
