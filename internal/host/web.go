package host

import "time"

// WebServer is a web server's configuration, as far as it matters to who may
// come in and how.
type WebServer struct {
	// Software is nginx, apache, caddy, lighttpd or haproxy.
	Software string `json:"software"`
	// Config is its main file, Files all that were read.
	Config string   `json:"config"`
	Files  []string `json:"files,omitempty"`
	// Complete is false where a part could not be read or understood; Problems say
	// what.
	Complete bool      `json:"complete"`
	Problems []string  `json:"problems,omitempty"`
	Sites    []WebSite `json:"sites,omitempty"`
	// Modules are loaded modules that matter: modsecurity, coraza, status, info.
	Modules []string `json:"modules,omitempty"`
}

// WebSite is one virtual host: a server block, VirtualHost, site or front end.
type WebSite struct {
	// Names are those it answers to; none for the default.
	Names []string `json:"names,omitempty"`
	File  string   `json:"file"`
	Line  int      `json:"line"`
	// Listen are the sockets that it answers on.
	Listen []WebListen `json:"listen,omitempty"`
	// Protocols are the TLS versions that it accepts, "TLSv1.2" and so on, those of
	// the server's default where none are configured; ProtocolsFrom is where they
	// are set, "" for the default.
	Protocols     []string `json:"protocols,omitempty"`
	ProtocolsFrom string   `json:"protocols_from,omitempty"`
	// Ciphers is the list as written.
	Ciphers string `json:"ciphers,omitempty"`
	// Certificates and Keys are the paths of the files.
	Certificates []string `json:"certificates,omitempty"`
	Keys         []string `json:"keys,omitempty"`
	// ClientAuth is require, optional, or "" where no client certificate is asked
	// for; ClientCA is the file of the authorities, ClientDepth the chain's length
	// (0 if not set). Optional is no protection by itself.
	ClientAuth  string `json:"client_auth,omitempty"`
	ClientCA    string `json:"client_ca,omitempty"`
	ClientDepth int    `json:"client_depth,omitempty"`
	// Auth are the places below it that ask for a password by themselves.
	Auth []WebAuth `json:"auth,omitempty"`
	// Pages are places below it that show the inside: status, info, admin.
	Pages []WebPage `json:"pages,omitempty"`
	// Redirect is true where plain HTTP is sent on to HTTPS for all paths.
	Redirect bool `json:"redirect,omitempty"`
	// WAF is on, detect or "".
	WAF string `json:"waf,omitempty"`
	// HSTS is true where Strict-Transport-Security is sent.
	HSTS bool `json:"hsts,omitempty"`
	// AutoIndex are the places that list directories.
	AutoIndex []string `json:"auto_index,omitempty"`
	// Tokens is true where the server tells its version.
	Tokens bool `json:"tokens,omitempty"`
}

// WebListen is one socket of a site.
type WebListen struct {
	// Address is "", "*" or "0.0.0.0" for all, "::", an address or a path.
	Address string `json:"address,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	TLS     bool   `json:"tls,omitempty"`
	Line    int    `json:"line,omitempty"`
}

// WebAuth is HTTP authentication by password at one place.
type WebAuth struct {
	// Kind is basic or digest.
	Kind string `json:"kind"`
	// Path is the location, "/" for all.
	Path string `json:"path"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Passwords is the file that holds them, as stat(2) sees it; Type is "" where it
	// is not there or not named.
	Passwords File `json:"passwords,omitzero"`
}

// WebPage is a place that shows the inside of a server.
type WebPage struct {
	// Kind is status, info, balancer, metrics, stats, admin.
	Kind string `json:"kind"`
	Path string `json:"path"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Restricted is true where addresses or a password are asked for.
	Restricted bool `json:"restricted,omitempty"`
}

// Certificate is a certificate that a server shows.
type Certificate struct {
	Path string `json:"path"`
	// Subject and Issuer are the distinguished names, Names the host names.
	Subject   string    `json:"subject,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	// KeyType is RSA, ECDSA or Ed25519; Bits its size; Signature the algorithm it
	// is signed with.
	KeyType    string `json:"key_type,omitempty"`
	Bits       int    `json:"bits,omitempty"`
	Signature  string `json:"signature,omitempty"`
	SelfSigned bool   `json:"self_signed,omitempty"`
	// Key is the private key's file, as stat(2) sees it.
	Key File `json:"key,omitzero"`
	// UsedBy are the servers that show it: nginx, postfix.
	UsedBy []string `json:"used_by,omitempty"`
	Err    string   `json:"err,omitempty"`
}
