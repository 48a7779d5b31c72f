package logdate

import (
	"strconv"
	"strings"
)

// zones lists abbreviations by their offset from UTC in hours. They are fixed:
// CET does not turn into CEST in summer.
const zones = `
-12 Y
-11 X NUT SST
-10 W CKT HAST HST TAHT TKT
-9 V AKST GAMT GIT HADT HNY
-8 U AKDT CIST HAY HNP PST PT
-7 T HAP HNR MST PDT
-6 S CST EAST GALT HAR HNC MDT
-5 R CDT COT EASST ECT EST ET HAC HNE PET
-4 Q AST BOT CLT COST EDT FKT GYT HAE HNA PYT
-3 P ADT ART BRT CLST FKST GFT HAA PMST PYST SRT UYT WGT
-2 O BRST FNT PMDT UYST WGST
-1 N AZOT CVT EGT
0 Z EGST GMT UTC WET WT
1 A CET DFT WAT WEDT WEST
2 B CAT CEDT CEST EET SAST WAST
3 C EAT EEDT EEST IDT MSK
4 D AMT AZT GET GST KUYT MSD MUT RET SAMT SCT
5 E AMST AQTT AZST HMT MAWT MVT PKT TFT TJT TMT UZT YEKT
6 F ALMT BIOT BTT IOT KGT NOVT OMST YEKST
7 G CXT DAVT HOVT ICT KRAT NOVST OMSST THA WIB
8 H ACT AWST BDT BNT CAST HKT IRKT KRAST MYT PHT SGT ULAT WITA WST
9 I AWDT IRKST JST KST PWT TLT WDT WIT YAKT
10 K AEST ChST PGT VLAT YAKST YAPT
11 L AEDT LHDT MAGT NCT PONT SBT VLAST VUT
12 M ANAST ANAT FJT GILT MAGST MHT NZST PETST PETT TVT WFT
13 FJST NZDT
11.5 NFT
10.5 ACDT LHST
9.5 ACST
6.5 CCT MMT
5.75 NPT
5.5 SLT
4.5 AFT IRDT
3.5 IRST
-2.5 HAT NDT
-3.5 HNT NST NT
-4.5 HLV VET
-9.5 MART MIT
`

// ZoneOffset reads a zone such as UTC, CEST, +0200 or UTC-03:30 and returns how
// many minutes it is east of UTC.
func ZoneOffset(s string) (minutes int, ok bool) { return zoneOffset(s) }

func zoneOffset(s string) (int, bool) {
	name, sign := s, strings.IndexAny(s, "+-")
	if sign >= 0 {
		name = s[:sign]
	}
	base, ok := abbreviation(name)
	if !ok || sign < 0 {
		return base, ok
	}
	digits := strings.Replace(s[sign+1:], ":", "", 1)
	n, err := strconv.Atoi(digits)
	if err != nil || len(digits) != 2 && len(digits) != 4 {
		return 0, false
	}
	if len(digits) == 4 {
		n = n/100*60 + n%100
	} else {
		n *= 60
	}
	if s[sign] == '-' {
		n = -n
	}
	return base + n, true
}

func abbreviation(name string) (int, bool) {
	if name == "" {
		return 0, true
	}
	for line := range strings.Lines(zones) {
		for i, f := range strings.Fields(line) {
			if i > 0 && f == name {
				hours, _ := strconv.ParseFloat(strings.Fields(line)[0], 64)
				return int(hours * 60), true
			}
		}
	}
	return 0, false
}
