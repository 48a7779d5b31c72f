package machine

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// readProvider reads who provides the machine: what cloud-init has written down,
// and the firmware's tables.
func readProvider(f rootfs.FS, n *rootfs.Notes) host.Provider {
	var p host.Provider
	dmi := map[string]string{}
	for _, name := range []string{"sys_vendor", "product_name", "bios_vendor", "chassis_asset_tag", "board_vendor"} {
		dmi[name] = strings.TrimSpace(f.Line("sys/class/dmi/id/" + name))
	}
	p.Vendor, p.Product = dmi["sys_vendor"], dmi["product_name"]
	cloudInit(f, &p, n)
	if p.Name != "" {
		return p
	}
	for _, known := range firmware() {
		if v := dmi[known.field]; v != "" && strings.HasPrefix(v, known.prefix) {
			p.Name = known.name
			p.From = append(p.From, "/sys/class/dmi/id/"+known.field)
			return p
		}
	}
	for _, known := range [...][2]string{
		{"var/lib/waagent", "azure"},
		{"etc/google_instance_id", "gcp"},
		{"etc/default/instance_configs.cfg", "gcp"},
		{"opt/digitalocean", "digitalocean"},
		{"etc/oracle-cloud-agent", "oracle"},
		{"usr/local/aegis", "alibaba"},
		{"usr/local/qcloud", "tencent"},
		{"opt/vultr", "vultr"},
	} {
		if f.Exists(known[0]) {
			p.Name = known[1]
			p.From = append(p.From, "/"+known[0])
			return p
		}
	}
	return p
}

// firmware is what providers write into the tables of the machines they sell.
func firmware() []struct{ field, prefix, name string } {
	return []struct{ field, prefix, name string }{
		{"sys_vendor", "Amazon EC2", "aws"},
		{"bios_vendor", "Amazon EC2", "aws"},
		{"sys_vendor", "Google", "gcp"},
		{"chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure"},
		{"chassis_asset_tag", "OracleCloud.com", "oracle"},
		{"sys_vendor", "Hetzner", "hetzner"},
		{"sys_vendor", "DigitalOcean", "digitalocean"},
		{"sys_vendor", "Vultr", "vultr"},
		{"sys_vendor", "Linode", "linode"},
		{"sys_vendor", "Akamai", "linode"},
		{"sys_vendor", "Scaleway", "scaleway"},
		{"sys_vendor", "UpCloud", "upcloud"},
		{"sys_vendor", "Exoscale", "exoscale"},
		{"sys_vendor", "Alibaba Cloud", "alibaba"},
		{"sys_vendor", "Tencent Cloud", "tencent"},
		{"sys_vendor", "Huawei Cloud", "huawei"},
		{"sys_vendor", "OVH", "ovh"},
		{"sys_vendor", "Contabo", "contabo"},
		{"sys_vendor", "netcup", "netcup"},
		{"product_name", "KVM Server netcup", "netcup"},
		{"sys_vendor", "SAKURA", "sakura"},
		{"sys_vendor", "ConoHa", "conoha"},
		{"sys_vendor", "IONOS", "ionos"},
		{"sys_vendor", "Civo", "civo"},
		{"product_name", "OpenStack", "openstack"},
		{"sys_vendor", "OpenStack", "openstack"},
	}
}

// cloudInit reads the part of cloud-init's metadata that has no secrets. The file
// beside it, with user data, is not looked at.
func cloudInit(f rootfs.FS, p *host.Provider, n *rootfs.Notes) {
	const file = "run/cloud-init/instance-data.json"
	data, err := f.Read(file, rootfs.Small)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			n.Err(err)
		}
		if id, err := f.Read("run/cloud-init/cloud-id", rootfs.Small); err == nil {
			p.Name = cloudName(strings.TrimSpace(string(id)))
			p.From = append(p.From, "/run/cloud-init/cloud-id")
		}
		return
	}
	var all struct {
		V1 struct {
			CloudName        string `json:"cloud_name"`
			Platform         string `json:"platform"`
			InstanceID       string `json:"instance_id"`
			Region           string `json:"region"`
			AvailabilityZone string `json:"availability_zone"`
		} `json:"v1"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		n.Add("/%s: %s", file, err)
		return
	}
	v := all.V1
	name := v.CloudName
	if name == "" || name == "unknown" {
		name = v.Platform
	}
	p.Name, p.Instance, p.Region, p.Zone = cloudName(name), v.InstanceID, v.Region, v.AvailabilityZone
	p.From = append(p.From, "/"+file)
}

// cloudName gives the name used here for one of cloud-init's. What a machine gets
// from a local disk says nothing about its provider.
func cloudName(name string) string {
	switch name = strings.ToLower(name); name {
	case "nocloud", "none", "unknown", "configdrive", "lxd":
		return ""
	case "gce":
		return "gcp"
	}
	return name
}
