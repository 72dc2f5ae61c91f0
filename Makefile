# SPDX-License-Identifier: Apache-2.0
#
# make help says what can be made. Everything runs as root or with sudo, which is used for apt-get
# and for what only root can do.

PREFIX ?= /usr
DESTDIR ?=
# Debian's zsh looks elsewhere: packaging/deb/make.sh says where.
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
SWIFT ?= swift
SWIFT_FLAGS ?=
STRIP ?= strip
# The architecture that is built for, by Debian's name for it: this machine's, or another one whose
# binutils are named here.
HERE := $(shell dpkg --print-architecture 2>/dev/null)
ARCH ?= $(HERE)
BINUTILS_ppc64el := powerpc64le-linux-gnu
BINUTILS_arm64 := aarch64-linux-gnu
# Where the program is built, what runs it here, and what all that takes.
BUILT := .build/release
PAYLOAD := .build/payload
RUN :=
PACKAGES :=
ifneq ($(ARCH),$(HERE))
ifndef BINUTILS_$(ARCH)
$(error ARCH is $(ARCH), but there is no cross-building for it: ppc64el and arm64 are known)
endif
SWIFT := packaging/cross/swift $(ARCH)
BUILT := .build/$(ARCH)/release
PAYLOAD := .build/payload-$(ARCH)
STRIP := $(BINUTILS_$(ARCH))-strip
RUN := packaging/cross/run $(ARCH)
PACKAGES := binutils-$(BINUTILS_$(ARCH))
endif
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# No library is looked for beside the program, which runs as root.
RELEASE_FLAGS := -c release --static-swift-stdlib --disable-local-rpath --product kdump-hotplugd
# A crashing test whose output is a pipe can hang in the backtracer.
export SWIFT_BACKTRACE := enable=no
# `swift test` keeps what tests say until it has a page of it, which can take minutes.
TEST := .ci/tests .build/debug/kdump-hotplugdPackageTests.xctest --testing-library swift-testing

.DEFAULT_GOAL := help
.PHONY: help dependencies build payload power-payload arm64-payload demo check test lint test-code test-products \
    test-unit test-fuzz test-leaks test-guest test-keys test-power test-arm64 test-files matrix soak chaos faults prove costs bench \
    fuzz fuzz-long install compile check-engine deb rpm test-packages dist debian-source test-debian test-rpm \
    selinux pictures recording clean here test-elsewhere

help: ## Say what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

dependencies: ## Install the Debian packages that building and testing take
	@.ci/dependencies $(PACKAGES)

build: dependencies ## Build the daemon as it ships: optimised, with a static Swift runtime
	@$(MAKE) --no-print-directory compile

# What `make build` does once its dependencies are there. Packages call it, with flags of their own.
compile:
	$(SWIFT) build $(RELEASE_FLAGS) $(SWIFT_FLAGS)

demo: dependencies ## Show the main job in a guest: hot-plug, crash, and what the dump holds
	@.ci/demo

test: lint ## Run every check there is; CONTRIBUTING.md says how long that takes
	.ci/together '$(MAKE) --no-print-directory test-code' '$(MAKE) --no-print-directory test-products'
	@$(MAKE) --no-print-directory test-guest

# One after the other: both listen to this machine's uevents.
test-code:
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-leaks

test-products: test-fuzz test-packages power-payload arm64-payload

# The one guest is grown, patched and crashed.
check: lint test-unit payload ## Check what a change may have broken, in three minutes: for everyday work
	$(TEST) --filter 'GuestTests.GrowthTests.*refreshes'

lint: dependencies ## Check format, house rules, shell scripts and the systemd unit
	$(SWIFT) format lint --strict --recursive Sources Tests packaging Package.swift
	.ci/house-rules
	shellcheck .ci/apt-get .ci/dependencies .ci/demo .ci/fleet .ci/house-rules .ci/run .ci/tests \
	    .ci/together .ci/unit .ci/unpacked packaging/check packaging/dist packaging/room packaging/version \
	    packaging/deb/*.sh packaging/deb/p* packaging/rpm/*.sh packaging/selinux/*.sh packaging/cross/*.sh \
	    packaging/cross/run packaging/cross/swift packaging/cross/test debian/kdump-hotplugd.p* \
	    debian/tests/check debian/tests/hotplug \
	    udev/mask-reload-rules systemd/share-load-lock systemd/load-image Tests/Guest/image/*.sh Tests/Fuzz/*.sh Tests/Prove/open/*.sh
	.ci/unit
	.ci/fleet
	.ci/documents

test-unit: dependencies ## Run the tests that need no guest
	@$(MAKE) --no-print-directory check-engine
	$(SUDO) $(TEST) --filter DaemonTests --skip MockedUeventsTests
	umockdev-wrapper $(TEST) --filter MockedUeventsTests

# Not part of `make test`: making an SDK takes longer than a push should.
test-power: ## Run the engine's unit tests for POWER under emulation, and check its package; the first time ten minutes more
	@$(MAKE) --no-print-directory test-elsewhere ARCH=ppc64el

test-arm64: ## The same for arm64
	@$(MAKE) --no-print-directory test-elsewhere ARCH=arm64

test-elsewhere: deb
	packaging/check $(ARCH)
	.ci/tests packaging/cross/test $(ARCH)

# Those that need no root, no journal and no guest: packages run them when they are built.
check-engine:
	$(SWIFT) build --build-tests $(SWIFT_FLAGS)
	$(TEST) --filter 'EngineTests|BenchTests'

# The reference counts of libudev and libsystemd are kept by API notes, which nothing else checks.
test-leaks: dependencies ## Run the tests of the edges under AddressSanitizer and LeakSanitizer
	KDUMP_HOTPLUGD_TARGETS=daemon $(SWIFT) build --build-tests --sanitize=address --scratch-path .build/leaks
	.ci/tests $(SUDO) env KDUMP_HOTPLUGD_TARGETS=daemon ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=1 umockdev-wrapper \
	    $(SWIFT) test --skip-build --sanitize=address --scratch-path .build/leaks \
	    --disable-xctest --filter DaemonTests

# What guests install is what a package would: they never see the build folder.
payload: build
	@rm -rf $(PAYLOAD)
	@$(MAKE) --no-print-directory install DESTDIR=$(CURDIR)/$(PAYLOAD)

# What guests on POWER install.
power-payload:
	@$(MAKE) --no-print-directory payload ARCH=ppc64el

# What guests on arm64 install.
arm64-payload:
	@$(MAKE) --no-print-directory payload ARCH=arm64

# Not part of `make test`: no kernel of Debian's has these keys, so one is built.
test-keys: payload ## Try what needs a kernel of our own: keys of an encrypted dump target; the first time 40 minutes
	$(SWIFT) build --build-tests
	KDUMP_HOTPLUGD_KEYS=1 $(TEST) --filter 'GuestTests.(KeysTests|ContiguousReserveTests)'

# Not part of `make test`: Debian's kernels for POWER and arm64 cannot do it, so others are built.
test-files: power-payload arm64-payload ## Try kexec_file_load on POWER and arm64, and fadump; the first time an hour more
	$(SWIFT) build --build-tests
	KDUMP_HOTPLUGD_FILES=1 $(TEST) --filter 'GuestTests.(PowerFileTests|ArmFileTests)'

matrix: deb payload power-payload arm64-payload ## Try every kernel, loader and change, and chains of changes: about three hours (estimated)
	$(SWIFT) build --build-tests
	KDUMP_HOTPLUGD_MATRIX=all KDUMP_HOTPLUGD_KEYS=1 KDUMP_HOTPLUGD_FILES=1 $(TEST) \
	    --filter 'GuestTests.(AuditTests|PatchTests|LoaderTests|LockdownTests|CureTests|DropInTests)' \
	    --filter 'GuestTests.(Power|Arm)' --filter 'GuestTests.(KeysTests|ContiguousReserveTests)'

soak: payload ## Change 20 machines of each kernel at random and crash them: about an hour
	$(SWIFT) build --build-tests
	KDUMP_HOTPLUGD_SOAK=$${KDUMP_HOTPLUGD_SOAK:-20} $(TEST) \
	    --filter 'GuestTests.(SoakTests|KillTests|CollisionTests)'

# The first line of a file of results that is committed.
OCCASION = $$(date +%F), $$(sed -n 's/^model name.*: //p;T;q' /proc/cpuinfo)

# An interrupted run goes on where it was, as long as the daemon's source is the same.
faults: payload ## Fail every system call of a refresh in every way it can fail, one at a time: more than three hours (estimated), in parts
	.ci/dependencies python3-matplotlib
	$(SWIFT) build --build-tests
	sources="# $$(git rev-parse HEAD:Sources)" && { head -n 1 .build/faults.csv 2>/dev/null | grep -qxF "$$sources" || \
	    printf '%s\n' "$$sources" refresh,part,fault,tried,met,slowest >.build/faults.csv; }
	KDUMP_HOTPLUGD_FAULTS_TABLE=.build/faults.csv KDUMP_HOTPLUGD_FAULTS=all $(TEST) --filter GuestTests.FaultTests
	sed "1c # $(OCCASION)" .build/faults.csv >docs/benchmarks/faults.csv
	rm .build/faults.csv
	Tests/Bench/report/report.py docs/benchmarks

chaos: payload ## Crash 67 machines of each kernel at random moments of random storms, and a fifth of that with each peer: an hour and twenty minutes
	.ci/dependencies python3-matplotlib
	$(SWIFT) build --build-tests
	mkdir -p .build && echo kernel,way,crashes,captured,complete,locked >.build/chaos.csv
	KDUMP_HOTPLUGD_CHAOS_TABLE=.build/chaos.csv KDUMP_HOTPLUGD_CHAOS=$${KDUMP_HOTPLUGD_CHAOS:-67} \
	    $(TEST) --filter GuestTests.ChaosTests
	sed "1i # $(OCCASION)" .build/chaos.csv >docs/benchmarks/chaos.csv
	Tests/Bench/report/report.py docs/benchmarks

costs: deb payload ## Measure sizes, and in a guest what the audit and the daemon cost
	$(SWIFT) run Demo costs

prove: deb ## Open dumps made after patches with crash and drgn, and write docs/proof.md: five minutes
	.ci/dependencies crash python3-drgn
	$(SWIFT) build --product Prove
	rm -rf .build/prove
	.build/debug/Prove .build/prove
	Tests/Prove/open/open.py .build/prove docs/proof.md

bench: payload power-payload arm64-payload ## Measure beside the peers and write docs/benchmarks.md: about two and a half hours
	.ci/dependencies python3-matplotlib
	$(SWIFT) build --product Bench
	.build/debug/Bench docs/benchmarks $(PARTS)
	$(SWIFT) run -c release -Xswiftc -enable-testing --scratch-path .build/size Size \
	    docs/benchmarks/size.csv
	sed -i "1i # $$(date +%F)" docs/benchmarks/size.csv
	Tests/Bench/report/report.py docs/benchmarks

test-fuzz: dependencies
	Tests/Fuzz/run.sh 2

fuzz: dependencies ## Fuzz every parser for a minute each: about six minutes
	Tests/Fuzz/run.sh 60

# A parser takes 100 to 20,000 inputs a second, the device tree's the fewest, as long as guests run beside it.
fuzz-long: dependencies ## Fuzz every parser for ten minutes, some forty million inputs in all, and write docs/fuzzing.md: about an hour
	rm -rf .build/fuzz/crashes
	Tests/Fuzz/run.sh 600
	Tests/Fuzz/report.py

test-guest: deb payload power-payload arm64-payload ## Resume, hot-plug and crash real kernels
	$(SWIFT) build --build-tests
	$(TEST) --filter GuestTests

# The unit and the mask script name the places where this puts things; another PREFIX rewrites them.
install: ## Install what `make build` built, below DESTDIR and PREFIX
	install -D -m 0755 $(BUILT)/kdump-hotplugd $(DESTDIR)$(PREFIX)/sbin/kdump-hotplugd
	$(STRIP) $(DESTDIR)$(PREFIX)/sbin/kdump-hotplugd
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/lib/kdump-hotplugd \
	    udev/mask-reload-rules systemd/share-load-lock systemd/load-image
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in kdump-hotplugd.service kdump-hotplugd-load.service kdump-hotplugd-report.socket \
	    kdump-hotplugd-report@.service; do \
	    sed 's|/usr/\(sbin\|lib\)/kdump-hotplugd|$(PREFIX)/\1/kdump-hotplugd|' systemd/$$unit \
	        >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit; \
	done
	install -D -m 0644 systemd/kdump-hotplugd.catalog \
	    $(DESTDIR)$(PREFIX)/lib/systemd/catalog/kdump-hotplugd.catalog
	install -D -m 0644 systemd/kdump-hotplugd.default $(DESTDIR)/etc/default/kdump-hotplugd
	install -D -m 0644 systemd/kdump-hotplugd.tmpfiles \
	    $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/kdump-hotplugd.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/kdump-hotplugd fleet/rules.yml fleet/icinga2.conf \
	    fleet/node-problem-detector.json fleet/check.schema.json fleet/history.schema.json
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	version=$$(packaging/version) && sed "s/@VERSION@/$$version/" man/kdump-hotplugd.8 \
	    >$(DESTDIR)$(PREFIX)/share/man/man8/kdump-hotplugd.8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(ZSH_COMPLETIONS) $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	umask 022; complete='$(RUN) $(BUILT)/kdump-hotplugd --generate-completion-script'; \
	$$complete bash | sed '1{/^#!/d}' >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kdump-hotplugd && \
	$$complete zsh >$(DESTDIR)$(ZSH_COMPLETIONS)/_kdump-hotplugd && \
	$$complete fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kdump-hotplugd.fish

deb: build ## Make a Debian package of it: .build/deb/kdump-hotplugd_*.deb; with ARCH=ppc64el or ARCH=arm64 one for that
	packaging/deb/make.sh $(ARCH)

rpm: here build ## Make an RPM package of it: .build/rpm/kdump-hotplugd-*.rpm
	packaging/rpm/make.sh

# What is made of this machine's own build only.
here:
	@test '$(ARCH)' = '$(HERE)' || { echo 'There is only a Debian package for $(ARCH): make deb' >&2; exit 1; }

test-packages: deb rpm ## Check what is in the packages, and let lintian look at one
	packaging/check

dist: dependencies ## Make a source archive that is built without a network: .build/dist/
	packaging/dist

debian-source: dependencies ## Build Debian's source package in a clean Debian unstable: .build/room/
	packaging/deb/source.sh

# Not part of `make test`: it takes a clean unstable of 4 GB and half an hour.
test-debian: dependencies ## Build Debian's source package twice, compare, lintian, autopkgtest, uscan
	packaging/deb/source.sh --twice
	packaging/deb/test.sh

test-rpm: dependencies ## Build the RPM packages from the source archive, with their tests, and rpmlint
	packaging/rpm/source.sh

selinux: ## Compile a SELinux module that confines the daemon: .build/selinux/kdump_hotplugd.pp
	packaging/selinux/make.sh

pictures: ## Draw the pictures of the documents anew
	docs/pictures/reserved-memory.py >docs/pictures/reserved-memory.svg
	docs/pictures/terminal.py docs/pictures/demo.cast >docs/pictures/demo.svg

recording: ## Record `make demo` for the README
	@mkdir -p .build
	docs/pictures/record.py 'make demo' make --no-print-directory demo >.build/demo.cast
	mv .build/demo.cast docs/pictures/demo.cast
	@$(MAKE) --no-print-directory pictures

clean: ## Remove what was built; the guests' cache outside the repository stays
	rm -rf .build
