#!/usr/bin/env bash
# build_guest.sh DIR: a guest with DAX in DIR: Debian's generic kernel (downloaded, not installed)
# and an initramfs of busybox, the persistent-memory modules and ndctl. Needs the packages
#   qemu-system-x86 ndctl daxctl busybox-static cpio kmod e2fsprogs python3
set -euo pipefail
dir=${1:?usage: build_guest.sh DIR}
mkdir -p "$dir/deb"
cd "$dir"
if [ -s vmlinux ] && [ -s base.cpio ]; then exit 0; fi

package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ {print $2; exit}')
version=${package#linux-image-}
if ! ls "deb/${package}"_*.deb >/dev/null 2>&1; then
  (cd deb && apt-get download "$package" >/dev/null)
fi

# Of the kernel's tree only what a pool can lie on.
modules='libnvdimm nfit nd_pmem nd_btt device_dax dax_pmem ext4 jbd2 mbcache crc16 crc32c_generic
         crc32c-intel crc32_generic libcrc32c'
patterns=('./boot/*' "./lib/modules/$version/modules.builtin*" "./lib/modules/$version/modules.order")
for module in $modules; do patterns+=("*/$module.ko"); done
rm -rf kernel root
mkdir -p kernel root
dpkg-deb --fsys-tarfile "deb/${package}"_*.deb >kernel.tar
tar -C kernel -xf kernel.tar --wildcards "${patterns[@]}" 2>/dev/null || true  # some are built in
rm kernel.tar
depmod -b kernel "$version" 2>/dev/null

# The ELF image inside: unpacking it in the guest takes longer than booting.
python3 - "kernel/boot/vmlinuz-$version" <<'PY'
import lzma, sys
data = open(sys.argv[1], "rb").read()
elf = lzma.LZMADecompressor().decompress(data[data.index(b"\xfd7zXZ\0"):])
assert elf[:4] == b"\x7fELF"
open("vmlinux", "wb").write(elf)
PY

mkdir -p root/{bin,lib,lib64,proc,sys,dev,tmp,usr/bin,usr/sbin,usr/lib,job,pmem}
cp -a kernel/lib/modules root/lib/
cp "$(command -v busybox)" root/bin/busybox
for applet in $(busybox --list); do ln -s busybox "root/bin/$applet" 2>/dev/null || true; done
for tool in ndctl mkfs.ext4; do
  path=$(readlink -f "$(command -v "$tool")")
  mkdir -p "root$(dirname "$path")"
  cp -L "$path" "root$path"
  ln -sf "$path" "root/bin/$tool"
  ldd "$path" | grep -o '/[^ ]*' | while read -r lib; do
    mkdir -p "root$(dirname "$lib")"
    [ -e "root$lib" ] || cp -L "$lib" "root$lib"
  done
done

cat >root/init <<'INIT'
#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm; mount -t tmpfs tmp /tmp
for module in crc32c_generic nfit nd_pmem device_dax dax_pmem ext4; do modprobe $module 2>/dev/null; done
for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /dev/pmem1 ] && break; sleep 0.1; done
cd /tmp; /job/run; rc=$?
echo "rc=$rc" > /dev/ttyS1; sleep 0.1
poweroff -f
INIT
chmod +x root/init
(cd root && find . | cpio -o -H newc --quiet) >base.cpio
