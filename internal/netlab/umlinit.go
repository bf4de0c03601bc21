package netlab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// umlModules are loaded at boot. All others come on demand, through the kernel's modprobe hook. IPv6 must come before ip_vs,
// which otherwise runs without it.
const umlModules = "ipv6 bridge veth macvlan vrf ipip dummy 8021q " +
	"ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_fo ip_vs_ovf ip_vs_lblc ip_vs_lblcr ip_vs_dh ip_vs_sh ip_vs_mh ip_vs_sed ip_vs_nq"

// umlKernel puts the kernel that will be run into dir and returns its path.
//
// It is a copy of linux.uml with one number changed, and the reason is the size of a processor's register file. Kernels up
// to 6.12 keep a process's extended registers in a buffer of 2696 bytes and give exactly that size to
// ptrace(PTRACE_SETREGSET). On a processor with AMX the host wants at least 11008 bytes there and answers EFAULT, so that no
// program can run. The host reads no more than it needs, and looks only at the components that the saved header marks as in
// use, which the buffer always holds in full: asking it to read more than the buffer is harmless and lets the same kernel
// run on every processor.
func umlKernel(dir string) (string, error) {
	path, err := exec.LookPath("linux.uml")
	if err != nil {
		return "", ErrNoUML
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("uml: %w", err)
	}
	if !widenRegisterSet(image) {
		return path, nil // another kernel: let it show whether it runs
	}
	out := filepath.Join(dir, "linux.uml")
	if err := writeExecutable(out, bytes.NewReader(image)); err != nil {
		return "", fmt.Errorf("uml: %w", err)
	}
	return out, nil
}

// widenRegisterSet changes the length given to PTRACE_SETREGSET in a kernel image from 2696 to 32768 bytes and reports whether it
// found it.
func widenRegisterSet(image []byte) bool {
	const (
		setRegSet = "\xbf\x05\x42\x00\x00"             // mov $PTRACE_SETREGSET,%edi
		length    = "\x48\xc7\x45\xf8\x88\x0a\x00\x00" // movq $2696,-8(%rbp)
		near      = 48
	)
	done := false
	for at := 0; ; {
		i := bytes.Index(image[at:], []byte(setRegSet))
		if i < 0 {
			return done
		}
		i += at
		from := max(0, i-near)
		if j := bytes.LastIndex(image[from:i], []byte(length)); j >= 0 {
			binary.LittleEndian.PutUint32(image[from+j+4:], 1<<15)
			done = true
		}
		at = i + len(setRegSet)
	}
}

// umlInit is the first process. The words in capitals between @ are replaced by umlScript.
//
// busybox's modprobe looks in /lib/modules only, a directory that may not exist and cannot be made on a read-only root, so it
// is given a root of its own, in which /lib is made of links.
//
// The command writes to the second console, which is kept free of kernel messages; draining it at the end makes sure that
// all output has left the kernel before the power goes off.
const umlInit = `#!@BUSYBOX@ sh
B=@BUSYBOX@
unset mem uml_dir umid
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
[ -c /dev/tty1 ] || $B mount -t devtmpfs dev /dev
$B mkdir -p /dev/pts /dev/shm
$B mount -t devpts -o ptmxmode=666 devpts /dev/pts
$B mount -t tmpfs -o mode=1777 shm /dev/shm
[ -e /dev/fd ] || $B ln -s /proc/self/fd /dev/fd
$B mount -t tmpfs -o mode=1777 tmp /tmp
for d in /run /var/log /var/lib; do $B mount -t tmpfs -o mode=755 tmpfs $d; done
[ -L /var/run ] || $B mount --bind /run /var/run
$B mkdir -p /run/lock /tmp/home
@MOUNTS@
M=/run/netlab-modules
$B mkdir -p $M/usr $M/lib $M/proc
$B mount --bind /usr $M/usr
$B mount --bind /proc $M/proc
$B ln -s usr/bin usr/lib64 $M/
for d in /usr/lib/*-linux-gnu; do $B ln -s ..$d $M/lib/; done
$B ln -s ../usr/lib/uml/modules $M/lib/modules
printf '#!%s sh\nexec %s chroot %s /usr/bin/busybox modprobe "$@"\n' $B $B $M >$M/modprobe
$B chmod 755 $M/modprobe
echo $M/modprobe >/proc/sys/kernel/modprobe
$M/modprobe -a @MODULES@
$B hostname uml
$B ip link set lo up
ulimit -n 65536
exec 3<>/dev/tty1
$B stty @TTY@ <&3
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp/home TMPDIR=/tmp TERM=linux
@ENV@
cd @WORKDIR@ || { echo "uml: cannot enter the working directory" @WORKDIR@ >&3; cd /; }
@COMMAND@
echo $? >@EXIT@
$B stty sane <&3
$B poweroff -f
`

// umlScript writes the first process's program.
func umlScript(ctl string, o UMLOptions) (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", errors.New("busybox not found: install the Debian package busybox")
	}
	mounts, err := umlMounts(ctl, o)
	if err != nil {
		return "", err
	}
	var env strings.Builder
	for _, kv := range append([]string{umlMark + "=1"}, o.Env...) {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || !shellName(k) {
			return "", fmt.Errorf("setting %q is not NAME=VALUE", kv)
		}
		fmt.Fprintf(&env, "export %s=%s\n", k, shellQuote(v))
	}
	words := make([]string, len(o.Command))
	for i, w := range o.Command {
		words[i] = shellQuote(w)
	}
	command := strings.Join(words, " ") + " </dev/null >&3 2>&3 3>&-"
	tty := "raw -echo"
	if o.Stdin != nil {
		command = "$B setsid -c " + strings.Join(words, " ") + " <&3 >&3 2>&3 3>&-"
		tty = "sane"
	}
	workDir := o.WorkDir
	if workDir == "" {
		workDir = "/"
	}
	return strings.NewReplacer(
		"#!@BUSYBOX@", "#!"+busybox, "@BUSYBOX@", shellQuote(busybox), "@MOUNTS@", mounts, "@MODULES@", umlModules, "@TTY@", tty, "@ENV@", env.String(),
		"@WORKDIR@", shellQuote(workDir), "@COMMAND@", command, "@EXIT@", shellQuote(filepath.Join(ctl, "exit")),
	).Replace(umlInit), nil
}

// umlMounts writes the commands that make the host's directories visible.
func umlMounts(ctl string, o UMLOptions) (string, error) {
	var b strings.Builder
	add := func(path, mode string) error {
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return err
		}
		if strings.ContainsRune(real, ',') {
			return fmt.Errorf("%s: a comma in the path of a shared directory is not possible", real)
		}
		st, err := os.Stat(real)
		if err != nil {
			return err
		}
		places := []string{real}
		if abs != real {
			places = append(places, abs)
		}
		for _, at := range places {
			if !umlHides(at) && (mode == "ro" || at != real) {
				continue // seen through the root file system, or through a link there
			}
			q, src := shellQuote(at), shellQuote(real)
			if st.IsDir() {
				fmt.Fprintf(&b, "$B mkdir -p %s; $B mount -t hostfs -o %s,%s none %s\n", q, mode, src, q)
				continue
			}
			aside := fmt.Sprintf("/run/netlab-share/%d", strings.Count(b.String(), "\n"))
			fmt.Fprintf(&b, "$B mkdir -p %s %s; $B mount -t hostfs -o %s,%s none %s; : >%s; $B mount --bind %s/%s %s\n",
				aside, shellQuote(filepath.Dir(at)), mode, shellQuote(filepath.Dir(real)), aside, q, aside, shellQuote(filepath.Base(real)), q)
		}
		return nil
	}
	for _, s := range o.Share {
		if err := add(s, "ro"); err != nil {
			return "", err
		}
	}
	for _, s := range []string{ctl, o.Dir} {
		if s == "" {
			continue
		}
		if err := add(s, "rw"); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// umlHides reports whether a path of the host cannot be seen inside because it lies below a directory that is new there.
func umlHides(path string) bool {
	for _, d := range [...]string{"/tmp", "/run", "/var/run", "/var/log", "/var/lib", "/dev"} {
		if path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

// shellQuote makes one word of s for sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// UMLEnv is this process's environment without what would be wrong inside User Mode Linux, for UMLOptions.Env.
func UMLEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		switch k, _, _ := strings.Cut(kv, "="); k {
		case "TMPDIR", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "GOCOVERDIR", "TERM", "NOTIFY_SOCKET", "XDG_RUNTIME_DIR":
		default:
			if shellName(k) {
				out = append(out, kv)
			}
		}
	}
	return out
}

// shellName reports whether s can be the name of a shell variable.
func shellName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
