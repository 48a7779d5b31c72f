package report

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sekimori/internal/audit"
)

// The types of SARIF 2.1.0 (OASIS Standard, 27 March 2020), as far as an audit
// fills them.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
	ColumnKind  string            `json:"columnKind"`
	Properties  map[string]any    `json:"properties,omitempty"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name     string      `json:"name"`
	Version  string      `json:"version,omitempty"`
	Language string      `json:"language"`
	Rules    []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID            string         `json:"id"`
	Short         sarifText      `json:"shortDescription"`
	Full          sarifText      `json:"fullDescription"`
	Help          sarifText      `json:"help"`
	Configuration sarifLevel     `json:"defaultConfiguration"`
	Properties    map[string]any `json:"properties"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      sarifText         `json:"message"`
	Locations    []sarifLocation   `json:"locations,omitempty"`
	Fingerprints map[string]string `json:"partialFingerprints"`
	Properties   map[string]any    `json:"properties"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// sarifSeverity gives the level, and the score by which viewers sort
// (security-severity).
func sarifSeverity(s audit.Severity) (level, score string) {
	switch s {
	case audit.Critical:
		return "error", "9.5"
	case audit.High:
		return "error", "8.0"
	case audit.Medium:
		return "warning", "5.5"
	case audit.Low:
		return "note", "2.5"
	}
	return "note", "0.0"
}

// SARIF writes the audit as one log of SARIF 2.1.0. Each line of evidence is a
// result; one that names a file and line has that as its location.
func (a Audit) SARIF(w io.Writer, version string) error {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "sekimori", Version: version, Language: a.words.Language(), Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{Successful: true}},
		Results:     []sarifResult{},
		ColumnKind:  "unicodeCodePoints",
		Properties:  map[string]any{"grade": a.Grade, "host": a.host.System.Hostname},
	}
	for i, f := range a.Findings {
		level, score := sarifSeverity(f.severity)
		e, _ := a.words.Entry(f.ID)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: f.ID, Short: sarifText{f.Title}, Full: sarifText{f.Why}, Help: sarifText{strings.TrimSpace(f.Remedy + "\n\n" + e.Long)},
			Configuration: sarifLevel{level},
			Properties: map[string]any{
				"tags": []string{"security", f.Section}, "security-severity": score, "references": f.References,
			},
		})
		for _, line := range f.Evidence {
			run.Results = append(run.Results, sarifResult{
				RuleID: f.ID, RuleIndex: i, Level: level, Message: sarifText{f.Title + ": " + line},
				Locations:    []sarifLocation{location(f.Section, line)},
				Fingerprints: map[string]string{"evidence/v1": fingerprint(f.ID, line)},
				Properties:   map[string]any{"severity": f.Severity, "remedy": f.Remedy, "policy": f.Policy},
			})
		}
	}
	for _, u := range a.Unseen {
		n := &run.Invocations[0].Notifications
		*n = append(*n, sarifNotification{"warning", sarifText{u.Section + ": " + u.Reason}})
	}
	return JSON(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	})
}

// location is the file and line that a line of evidence begins with or names in
// parentheses, or else the section as a logical place.
func location(section, line string) sarifLocation {
	m := regexp.MustCompile(`(?:^|[ (])(/[^\s:()]+)(?::([0-9]+))?`).FindStringSubmatch(line)
	if m == nil || strings.HasPrefix(m[1], "/proc/") {
		return sarifLocation{Logical: []sarifLogical{{section, "module"}}}
	}
	p := &sarifPhysical{Artifact: sarifArtifact{fileURI(m[1])}}
	if n, err := strconv.Atoi(m[2]); err == nil && n > 0 {
		p.Region = &sarifRegion{n}
	}
	return sarifLocation{Physical: p}
}

// fileURI is a path as RFC 8089 has it.
func fileURI(path string) string {
	var b strings.Builder
	b.WriteString("file://")
	for i := range len(path) {
		c := path[i]
		if c == '/' || c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

// fingerprint tells the same finding again in a later run: digits that change, as
// pids do, are left out.
func fingerprint(id, line string) string {
	stable := regexp.MustCompile(`pid [0-9]+|[0-9]+ days ago`).ReplaceAllString(line, "")
	sum := sha256.Sum256([]byte(id + "\x00" + stable))
	return hex.EncodeToString(sum[:16])
}
