package policy_test

import (
	"fmt"

	"sekimori/policy"
)

func Example() {
	f, err := policy.Parse("policy.yaml", []byte(`version: 1
inbound:   # to this host
  - {allow: ssh, rate: 6/min per source}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, _ := f.Policy.Inbound[0].Rate.Limit()
	fmt.Println(limit.Count, limit.Per, limit.PerSource)

	change, err := policy.ParseChange("allow https,8080/tcp from 192.0.2.0/24")
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := f.Edit(change)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", g.Text())
	// Output:
	// 6 1m0s true
	// version: 1
	// inbound:   # to this host
	//   - {allow: ssh, rate: 6/min per source}
	//   - {allow: [https, 8080/tcp], from: 192.0.2.0/24}
}

func ExampleParse() {
	_, err := policy.Parse("policy.yaml", []byte("version: 1\ninbound:\n  - {alow: ssh}\n"))
	fmt.Println(err)
	// Output:
	// policy.yaml:3:6: unknown key "alow"
	//   3 |   - {alow: ssh}
	//     |      ^^^^
	//   expected: the keys allow, deny, from, to or rate
	//   hint: did you mean allow?
}
