# Cells that are in no paper land in the class, and have the forms, that their equations say.
. "$SRC/tests/lib.sh"

# is ENTRY FILE SCAN CHUNK CLASS...: the forms that exist (yes, matrices for a scan that composes them, or the reason's id), and what is said of each stage in order
is() {
  entry=$1 file=$2 scan=$3 chunk=$4
  shift 4
  "$RNNC" explain "$SRC/tests/cells/$file.rnn" --entry="$entry" |
    awk '/^  [a-z]/ { on = ""; if ($1 == "stages" || $1 == "forms") { on = $1; sub(/^  [a-z]+ */, "") } }
         on { sub(/^ */, ""); print on ": " $0 }' >said.txt
  printf '%s\n' "$@" >expected.txt
  sed -nE 's/^stages: [^:]*: //p' said.txt | sed -E 's/, line [0-9]+( of [^ ]+)?$//' >stages.txt
  check "$entry: stages" same_lines expected.txt stages.txt
  form scan "$scan"
  form chunk "$chunk"
}

# same_lines PATTERNS TEXT: every line begins as the pattern in its place
same_lines() {
  awk 'NR == FNR { pattern[NR] = $0; n = NR; next }
       { lines++; if (index($0, pattern[FNR]) != 1) { print "\"" $0 "\" is not \"" pattern[FNR] "\""; bad = 1 } }
       END { if (lines != n) print lines + 0 " stages, expected " n; exit bad || lines != n }' "$1" "$2"
}

form() {
  case $2 in
    yes) check "$entry: $1 exists" grep -qx "forms: $1: yes" said.txt ;;
    matrices) check "$entry: $1 composes matrices" grep -qx "forms: $1: yes, steps are composed as matrices" said.txt ;;
    *) check "$entry: no $1, $2" grep -qE "^forms: $1: no, .*\[$2\]" said.txt ;;
  esac
}

diagonal="diagonal: each element is an affine map of itself"
is both_axes affine_both_axes yes F10 "$diagonal"
is chosen_decay affine_chosen_decay yes yes "matrix: a decay for each of K, plus rank 1; K contracted; columns V never mix"
is coupled_pair affine_coupled_pair yes F10 "blocks of 2: "
is decay_after_delta affine_decay_after_delta matrices yes "matrix: a decay for each of K, minus rank 1, plus rank 1"
is delta_twice affine_delta_twice matrices yes "matrix: no decay, minus rank 2, plus rank 2"
is dense affine_dense matrices F11 "affine: elements at different places read each other, the same at every step"
is joined affine_joined matrices yes "matrix: one decay, minus rank 1, plus rank 1"
is guarded affine_joined matrices yes "matrix: one decay, minus rank 1, plus rank 1"
is from_the_end affine_from_the_end yes F10 "$diagonal" "delay: " "$diagonal"
is nested_decays affine_nested_decays yes yes "matrix: a decay for each of K, plus rank 2"
is rotation affine_rotation yes F10 "blocks of 2: "
is running_mean affine_running_mean yes F10 "$diagonal, the same at every step" "$diagonal" "$diagonal, the same at every step"
is two_stages affine_two_stages yes F10 "$diagonal, the same at every step" "$diagonal"
is two_writes affine_two_writes yes yes "matrix: one decay, plus rank 2"
log="over (log-sum-exp,+): $diagonal"
is log_sum semiring_log_sum yes F06 "$log"
is running_log_sum running_log_sum yes F06 "$log"
is log_of_sum running_log_sum yes F06 "$log"
is larger_and_rest running_log_sum yes F06 "$log"
is softened running_log_sum yes F06 "$log"
is log_chain semiring_log_matrix matrices F06 "over (log-sum-exp,+): affine: elements at different places read each other"
is log_pair semiring_log_matrix matrices F06 "over (log-sum-exp,+): affine: elements at different places read each other"
is best_way semiring_matrices matrices F06 "over (max,+): affine: elements at different places read each other"
is turning semiring_matrices matrices F11 "affine: elements at different places read each other"
is from_the_diagonal semiring_matrices matrices F11 "affine: elements at different places read each other"
is list_and_mean semiring_matrices matrices F07 "affine: elements at different places read each other"
is running_max semiring_running_max yes F10 "over (max,+): $diagonal" "$diagonal"
is shortest_path semiring_shortest_path matrices F06 "over (min,+): affine: elements at different places read each other"
is automaton tables yes F02 "table: which of N elements is meant"
is pointers tables yes F02 "table: which of N elements is meant"
is resting tables yes F02 "table: which of N elements is meant"
is next_but_one tables yes F02 "table: which of N elements is meant"
for entry in counted_on below_zero one_of_two_lists; do
  is $entry ../forms/not_tables F05 F05 "not affine: "
done
is largest_whole tables yes F10 "over (max,+): $diagonal" "over (min,+): $diagonal" "$diagonal" "$diagonal"
is walk not_affine F05 F05 "not affine: " "not affine: "
is out_of_two_lists not_affine F05 F05 "not affine: "
is diagonal indices yes F10 "$diagonal"
is blocks_of_three blocks_of_three matrices F11 "affine: elements at different places read each other, the same at every step"
is decay_of_two_gates decay_of_two_gates yes F10 "$diagonal"
is one_minus_reversed one_minus_reversed yes F10 "$diagonal"
is update_by_difference update_by_difference yes F10 "$diagonal"
is second_order second_order yes F10 "blocks of 2: elements at one place read each other, the same at every step"
is every_other second_order yes F10 "blocks of 2: elements at one place read each other"
is tanh_of_diagonal tanh_of_diagonal F05 F05 "not affine: "
is squared not_affine F05 F05 "not affine: "
is chosen_by_state not_affine F05 F05 "not affine: "
is bounded not_affine F05 F05 "not affine: "
is product_of_two not_affine F05 F05 "not affine: "
is renormalised not_affine F05 F05 "not affine: "
is sum_guarded ../forms/infinite F05 F05 "not affine: "
is largest_guarded ../forms/infinite yes F06 "over (max,+): $diagonal"
is many_ways ../forms/many_ways F05 F05 "not affine: "
is few_ways ../forms/many_ways yes F10 "$diagonal"
for entry in log_of_any log_of_roots kept_reference other_distance another_at_zero; do
  is $entry not_affine F05 F05 "not affine: "
done
finish
