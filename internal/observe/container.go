package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// containerID is a container of which a process was seen.
type containerID struct{ id, runtime string }

// maxContainers bounds how many containers' files are read.
const maxContainers = 2000

// readContainers lists the containers that docker and podman keep on disk, and
// those of the given processes. Their configuration also holds environments and
// labels, which may be secrets: only what is named here is decoded.
func readContainers(f rootfs.FS, ids []containerID) ([]host.Container, []host.Unseen) {
	known := map[string]host.Container{}
	for _, i := range ids {
		known[i.id] = host.Container{ID: i.id, Runtime: i.runtime}
	}
	var unseen []host.Unseen
	for _, read := range []func(rootfs.FS, map[string]host.Container) error{readDocker, readPodman} {
		if err := read(f, known); err != nil && !errors.Is(err, fs.ErrNotExist) {
			unseen = append(unseen, host.Unseen{Section: host.SectionContainers, Reason: err.Error()})
		}
	}
	var out []host.Container
	for _, c := range known {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b host.Container) int { return strings.Compare(a.ID, b.ID) })
	return out, unseen
}

func readDocker(f rootfs.FS, known map[string]host.Container) error {
	const dir = "var/lib/docker/containers"
	entries, err := f.Names(dir)
	if err != nil {
		return err
	}
	if len(entries) > maxContainers {
		return fmt.Errorf("docker keeps more than %d containers", maxContainers)
	}
	for _, e := range entries {
		if !isContainerID(e.Name()) {
			continue
		}
		data, err := f.Read(dir+"/"+e.Name()+"/config.v2.json", 8<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue // being made or removed
		}
		if err != nil {
			return err
		}
		c, err := parseDocker(data)
		if err != nil {
			return fmt.Errorf("docker container %.12s: %w", e.Name(), err)
		}
		c.ID = e.Name()
		known[c.ID] = c
	}
	return nil
}

// parseDocker reads a container's config.v2.json.
func parseDocker(data []byte) (host.Container, error) {
	var v struct {
		Name   string
		Config struct{ Image string }
		// A stopped container keeps its networks without addresses.
		NetworkSettings struct {
			Networks map[string]*struct{ IPAddress, GlobalIPv6Address string }
		}
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return host.Container{}, err
	}
	c := host.Container{Runtime: "docker", Name: strings.TrimPrefix(v.Name, "/"), Image: v.Config.Image}
	for _, n := range v.NetworkSettings.Networks {
		if n == nil {
			continue
		}
		for _, text := range []string{n.IPAddress, n.GlobalIPv6Address} {
			if a, err := netip.ParseAddr(text); err == nil {
				c.Addresses = append(c.Addresses, a)
			}
		}
	}
	slices.SortFunc(c.Addresses, netip.Addr.Compare)
	return c, nil
}

// readPodman reads the list that containers/storage keeps for root.
func readPodman(f rootfs.FS, known map[string]host.Container) error {
	data, err := f.Read("var/lib/containers/storage/overlay-containers/containers.json", 64<<20)
	if err != nil {
		return err
	}
	var list []struct {
		ID       string   `json:"id"`
		Names    []string `json:"names"`
		Metadata string   `json:"metadata"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("podman's containers.json: %w", err)
	}
	for _, v := range list {
		c := host.Container{ID: v.ID, Runtime: "podman"}
		if have, ok := known[v.ID]; ok && have.Runtime != "" {
			c.Runtime = have.Runtime // CRI-O keeps its own in the same place
		}
		if len(v.Names) > 0 {
			c.Name = v.Names[0]
		}
		var meta struct {
			ImageName string `json:"image-name"`
		}
		if json.Unmarshal([]byte(v.Metadata), &meta) == nil {
			c.Image = meta.ImageName
		}
		known[c.ID] = c
	}
	return nil
}
