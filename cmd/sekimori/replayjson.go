package main

import (
	"time"

	"sekimori/internal/guard/replay"
)

// The JSON answer; field names are a promise.
type replayJSON struct {
	Lines     uint64         `json:"lines"`
	Failures  uint64         `json:"failures"`
	Exhausted uint64         `json:"exhausted"`
	Undated   uint64         `json:"undated"`
	Unnamed   uint64         `json:"unnamed"`
	Future    uint64         `json:"future"`
	Early     uint64         `json:"early"`
	Forged    []forgedJSON   `json:"forged"`
	Decisions []decisionJSON `json:"decisions"`
	Sources   []sourceJSON   `json:"sources"`
	Networks  []sourceJSON   `json:"networks"`
	Users     []userJSON     `json:"users"`
	Files     []fileJSON     `json:"files"`
}

type decisionJSON struct {
	Time      time.Time  `json:"time"`
	Prefix    string     `json:"prefix"`
	Refused   bool       `json:"refused"`
	Until     *time.Time `json:"until,omitempty"`
	Seconds   float64    `json:"seconds,omitempty"`
	Service   string     `json:"service"`
	Failures  int        `json:"failures"`
	Earlier   int        `json:"earlier"`
	Reason    string     `json:"reason"`
	Protected string     `json:"protected,omitempty"`
	Users     []string   `json:"users,omitempty"`
	Evidence  []string   `json:"evidence,omitempty"`
}

type sourceJSON struct {
	Prefix   string    `json:"prefix"`
	Failures int       `json:"failures"`
	Bans     int       `json:"bans"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Services []string  `json:"services,omitempty"`
}

type userJSON struct {
	Name     string `json:"name"`
	Failures int    `json:"failures"`
	Sources  int    `json:"sources"`
}

type fileJSON struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Lines  uint64 `json:"lines"`
	Fault  string `json:"fault,omitempty"`
	// What was passed over inside; lines are the first ones.
	Unreadable     int    `json:"unreadable,omitempty"`
	UnreadableLine int    `json:"unreadable_line,omitempty"`
	UnreadableWhy  string `json:"unreadable_why,omitempty"`
	Long           uint64 `json:"long,omitempty"`
	LongLine       int    `json:"long_line,omitempty"`
	NUL            int    `json:"nul,omitempty"`
	NULLine        int    `json:"nul_line,omitempty"`
	Holes          int    `json:"holes,omitempty"`
	Undatable      uint64 `json:"undatable,omitempty"`
	UndatableLine  int    `json:"undatable_line,omitempty"`
}

type forgedJSON struct {
	Service string `json:"service"`
	Entries uint64 `json:"entries"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Text    string `json:"text"`
	Writer  string `json:"writer"`
}

func filesJSON(in []replay.File) []fileJSON {
	out := []fileJSON{}
	for i := range in {
		f, x := &in[i], &in[i].Flaws
		out = append(out, fileJSON{
			f.Name, f.Format, f.Lines, f.Fault, x.Bad, x.FirstBad, x.Why, f.Long, f.FirstLong, x.NUL, x.FirstNUL, x.Holes, f.NoDate, f.FirstNoDate,
		})
	}
	return out
}

func (r replayer) json(res *replay.Result) error {
	out := replayJSON{
		Lines: res.Lines, Failures: res.Failures, Exhausted: res.Exhausted, Undated: res.Undated, Unnamed: res.Unnamed,
		Future: res.Future, Early: res.Early, Forged: []forgedJSON{},
		Decisions: []decisionJSON{}, Users: []userJSON{}, Files: filesJSON(res.Files),
	}
	for _, f := range res.Forged {
		out.Forged = append(out.Forged, forgedJSON{f.Jail, f.Entries, f.Name, f.Num, f.Line, f.Fields})
	}
	for _, d := range res.Decisions {
		j := decisionJSON{
			Time: d.Time, Prefix: d.Prefix.String(), Refused: d.Refused, Service: d.Service, Failures: d.Failures,
			Earlier: d.Earlier, Reason: d.Reason, Users: d.Users, Evidence: d.Evidence,
		}
		if d.Refused && !d.Until.IsZero() {
			j.Until, j.Seconds = &d.Until, d.For.Seconds()
		}
		if d.Protected.IsValid() {
			j.Protected = d.Protected.String()
		}
		out.Decisions = append(out.Decisions, j)
	}
	out.Sources, out.Networks = sourcesJSON(res.Sources), sourcesJSON(res.Networks())
	for _, u := range res.Users {
		out.Users = append(out.Users, userJSON{u.Name, u.Failures, u.Sources})
	}
	return answerJSON(r.out, out)
}

func sourcesJSON(in []replay.Source) []sourceJSON {
	out := []sourceJSON{}
	for _, s := range in {
		out = append(out, sourceJSON{s.Prefix.String(), s.Failures, s.Refused, s.First, s.Last, s.Services})
	}
	return out
}
