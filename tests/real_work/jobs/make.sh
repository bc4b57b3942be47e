#: Tools: make
cat > Makefile <<'M'
parts := $(foreach n,1 2 3 4 5 6,part$(n))
all: $(sort $(parts))
	@cat $^ | sort
	@echo "$(words $(parts)) parts, $(shell echo from a shell), $(patsubst part%,%,$(lastword $(parts)))"
part%:
	@echo "content $*" > $@
fail:
	@exit 3
%.up: part%
	tr a-z A-Z < $< > $@
.PHONY: all fail
M
make -s -j4
make
make 3.up && cat 3.up
make fail || echo "status $?"
make no-such-target || echo "status $?"
make -n -B 3.up
make -q 3.up && echo "up to date"
