package webd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"

	"director/config"
	"director/internal/configfile"
)

// Check reports why the web process cannot serve as configured on this host: what is
// wrong with its web configuration file, or that others could reach it without TLS
// and authentication.
func Check(c config.Web) error {
	if c.ConfigFile == "" {
		if list := c.Exposed(); len(list) > 0 && !c.AllowInsecure {
			return fmt.Errorf("%s can be reached from other hosts without TLS and authentication", strings.Join(list, ", "))
		}
		return nil
	}
	text, err := configfile.Read(c.ConfigFile)
	if err != nil {
		return fmt.Errorf("web_config_file: %w", err)
	}
	var file web.Config
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return fmt.Errorf("web_config_file %s: %w", c.ConfigFile, err)
	}
	if err := web.Validate(c.ConfigFile); err != nil {
		return fmt.Errorf("web_config_file %s: %w", c.ConfigFile, err)
	}
	list := c.Exposed()
	if len(list) == 0 || c.AllowInsecure {
		return nil
	}
	file.TLSConfig.SetDirectory(filepath.Dir(c.ConfigFile))
	var missing []string
	if !file.TLSConfig.IsEnabled() {
		missing = append(missing, "TLS (tls_server_config)")
	}
	if len(file.Users) == 0 && file.TLSConfig.ClientAuth != "RequireAndVerifyClientCert" {
		missing = append(missing, "authentication (basic_auth_users, or client certificates that are required and verified)")
	}
	if len(missing) > 0 {
		return errors.New("web_config_file " + c.ConfigFile + " has no " + strings.Join(missing, " and no ") + ", which " +
			strings.Join(list, ", ") + " needs because other hosts can reach it; or say allow_insecure = true")
	}
	return nil
}

// quietly passes on warnings and errors only.
type quietly struct{ slog.Handler }

func levelAbove(h slog.Handler) slog.Handler { return quietly{h} }

// Enabled implements slog.Handler.
func (q quietly) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (q quietly) WithAttrs(a []slog.Attr) slog.Handler { return quietly{q.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (q quietly) WithGroup(name string) slog.Handler { return quietly{q.Handler.WithGroup(name)} }
