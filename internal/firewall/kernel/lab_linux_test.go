package kernel

import (
	"os"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

func TestScratch(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		b, err := os.ReadFile(os.Getenv("NFTFILE"))
		if err != nil {
			t.Skip(err)
		}
		lab.LoadNFT(t, string(b))
		rs := Decode(nftDump(t), []firewall.HostInterface{{Index: 1, Name: "lo"}})
		t.Log("\n" + show(rs))
	})
}
