# Bash completion for tuff. Made of tools/verb_*.cc; see tools/completion.h.
# shellcheck shell=bash

# _tuff_verb VERB: sets options (names), values (NAME=KIND of those that take one) and arguments
# (kinds, in their order). A kind is a metavar, or METAVAR=WORD,WORD where only these words will do.
_tuff_verb() {
  options='' values='' arguments=''
  case $1 in
    create)
      options='--size --sparse --mode --memmap --granularity --guard -h --help'
      values='--size=SIZE --mode=MODE --memmap=PLACE=pool,dram --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL'
      ;;
    info)
      options='--json --read-only --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL'
      ;;
    stats)
      options='--json --read-only --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE'
      ;;
    stores)
      options='-l --long --json --read-only --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL'
      ;;
    rename)
      options='--granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL OLD NEW'
      ;;
    drop)
      options='--no-wait --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE'
      ;;
    put)
      options='--escaped --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE KEY VALUE'
      ;;
    get)
      options='--escaped --read-only --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE KEY'
      ;;
    delete)
      options='--from --to --prefix --all -v --verbose --escaped --granularity --guard -h --help'
      values='--from=KEY --to=KEY --prefix=BYTES --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE KEY'
      ;;
    batch)
      options='-n --dry-run -v --verbose --granularity --guard -h --help'
      values='--granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL FILE'
      ;;
    scan)
      options='--from --to --prefix --limit --reverse --json --escaped --read-only --granularity --guard -h --help'
      values='--from=KEY --to=KEY --prefix=BYTES --limit=N --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE'
      ;;
    count)
      options='--from --to --prefix --json --escaped --read-only --granularity --guard -h --help'
      values='--from=KEY --to=KEY --prefix=BYTES --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE'
      ;;
    load)
      options='--format --all --database --no-bulk -v --verbose --json --granularity --guard -h --help'
      values='--format=FORMAT=dump,tsv --database=NAME --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE FILE'
      ;;
    dump)
      options='-p --print --all --mapsize --read-only --granularity --guard -h --help'
      values='--mapsize=SIZE --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='POOL STORE'
      ;;
    fsck)
      options='--json -C --progress -n --check --quick -p --preen -y --yes --undo --revert -h --help'
      values='--undo=FILE --revert=FILE'
      arguments='POOL'
      ;;
    scrub)
      options='--json -C --progress -h --help'
      values=''
      arguments='POOL'
      ;;
    inspect)
      options='--hex --format --json --escaped -h --help'
      values='--format=FORMAT=text,svg,html,json'
      arguments='WHAT=superblock,lanes,section,frame,node,tree,key,buddyinfo,descriptors,snapshots,map POOL ARGUMENT ARGUMENT'
      ;;
    salvage)
      options='--size --sparse --list --json --granularity --guard -h --help'
      values='--size=SIZE --list=FILE --granularity=WHAT=byte,cache-line,page --guard=KIND=auto,pkey,mprotect,none'
      arguments='OLD NEW'
      ;;
    dump-metadata)
      options='--hash-keys --raw-damaged -h --help'
      values=''
      arguments='POOL OUT'
      ;;
    restore-metadata)
      options='-h --help'
      values=''
      arguments='IN POOL'
      ;;
  esac
}

_tuff_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_tuff_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }

# _tuff_stores TUFF POOL PREFIX: the pool's stores. Names that need escapes are left out: they
# cannot be typed as they are printed.
_tuff_stores() {
  local name pool=${2//[\\\"\']/}
  [[ $pool != \~/* ]] || pool=$HOME/${pool#\~/}
  while IFS= read -r name; do
    [[ $name == "${3//\\/}"* && $name != *\\* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <("$1" stores "$pool" 2>/dev/null </dev/null)
}

# _tuff_kind KIND WORD TUFF POOL
_tuff_kind() {
  case $1 in
    *=*)
      local words=${1#*=}
      _tuff_words "${words//,/ }" "$2"
      ;;
    POOL | FILE) _tuff_files "$2" ;;
    STORE | OLD) _tuff_stores "$3" "$4" "$2" ;;
  esac
}

# _tuff_value OPTION WORD TUFF POOL: completes the option's value; false if it takes none.
_tuff_value() {
  local value
  for value in $values; do
    [[ $value == "$1="* ]] || continue
    _tuff_kind "${value#*=}" "$2" "$3" "$4"
    return 0
  done
  return 1
}

_tuff() {
  local verb=${COMP_WORDS[1]-} current=${COMP_WORDS[COMP_CWORD]} options values arguments
  local -a given=() kinds=()
  COMPREPLY=()
  if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $verb == help ]]; }; then
    _tuff_words "$_tuff_verbs" "$current"
    return
  fi
  _tuff_verb "$verb"
  read -ra kinds <<<"$arguments"
  # Bash cuts --option=value into three words.
  local i word option='' dashes=''
  for ((i = 2; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $dashes ]]; then
      given+=("$word")
    elif [[ $option ]]; then
      [[ $word == '=' ]] || option=''
    elif [[ $word == -- ]]; then
      dashes=1
    elif [[ $word == -?* ]]; then
      [[ " $values" != *" $word="* ]] || option=$word
    else
      given+=("$word")
    fi
  done
  [[ $current != '=' ]] || current=''
  if [[ $option ]]; then
    _tuff_value "$option" "$current" "$1" "${given[0]-}"
  elif [[ $current == -* && ! $dashes ]]; then
    _tuff_words "$options" "$current"
  elif ((${#given[@]} < ${#kinds[@]})); then
    local pool=0
    while ((pool < ${#kinds[@]})) && [[ ${kinds[pool]} != POOL ]]; do ((++pool)); done
    _tuff_kind "${kinds[${#given[@]}]}" "$current" "$1" "${given[pool]-}"
  fi
}

complete -F _tuff tuff
_tuff_verbs='create info stats stores rename drop put get delete batch scan count load dump fsck scrub inspect salvage dump-metadata restore-metadata help --help --version'
