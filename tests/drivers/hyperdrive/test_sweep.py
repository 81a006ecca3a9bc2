from stepwell.drivers.hyperdrive.sweep import Sweep, last_words

SETTINGS = {
    "sampling": {"name": "grid", "space": [["x", "choice", [[1, 2, 3, 4, 5]]]]},
    "primary_metric": {"name": "score", "goal": "maximize"},
    "max_total_runs": 10,
    "max_concurrent_runs": 2,
    "max_duration_minutes": 60,
    "policy": None,
}


class Host:
    """Runs that log a value at each look, as many as `lengths` says, then end as `ends` says."""

    def __init__(self, values, length=3, ends=None):
        self.values, self.length, self.ends = values, length, ends or {}
        self.runs, self.most, self.cancelled, self.arguments = {}, 0, {}, []

    def submit(self, number, values, arguments):
        self.runs[f"run {number}"] = {"status": "Running", "values": [], "error": "", "reused": False, "x": values["x"]}
        self.arguments.append(arguments)
        self.most = max(self.most, sum(run["status"] == "Running" for run in self.runs.values()))
        return f"run {number}"

    def look(self):
        for name, run in self.runs.items():
            if run["status"] != "Running":
                continue
            if name in self.cancelled:
                run["status"] = "Canceled"
            elif len(run["values"]) < self.length:
                run["values"] = [*run["values"], self.values(run["x"], len(run["values"]))]
            else:
                run["status"], run["error"] = self.ends.get(run["x"], "Finished"), "why" * (run["x"] in self.ends)
        return self.runs

    def cancel(self, run_id, why):
        self.cancelled[run_id] = why


def sweep(host, **settings):
    now, said = [0.0], []
    made = Sweep({**SETTINGS, **settings}, host, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s), said.append)
    made.run()
    return made, said


def test_all_trials_run_so_many_at_once_and_the_best_is_known():
    host = Host(lambda x, i: -abs(x - 4) + i / 10)
    made, said = sweep(host)
    assert [trial.status for trial in made.trials] == ["Finished"] * 5
    assert made.best.hyperparameters == {"x": 4} and made.value(made.best) == 0.2
    assert host.most == 2 and host.arguments[0] == ["--x", "1"]
    assert "The space has 5 different combinations, so there are no more trials" in said
    assert said[0] == "trial 0  finished  score -2.8  x=1"


def test_more_trials_begin_as_the_fewer_did():
    few, many = (sweep(Host(lambda x, i: x), max_total_runs=n)[0] for n in (2, 4))
    assert [t.hyperparameters for t in many.trials][:2] == [t.hyperparameters for t in few.trials]


def test_a_policy_stops_bad_trials_which_leaves_room_for_others():
    host = Host(lambda x, i: float(x), length=5)
    policy = {"name": "bandit", "slack_amount": 0.5, "evaluation_interval": 1, "delay_evaluation": 0}
    made, said = sweep(host, policy=policy)
    assert [trial.status for trial in made.trials] == ["Canceled", "Finished", "Finished", "Finished", "Finished"]
    assert host.cancelled == {"run 0": "bandit policy at interval 1: its best value 1 is beyond the slack, 1.5"}
    assert said[0].startswith("trial 0  canceled  score 1  x=1  (bandit policy at interval 1")


def test_failed_trials_fail_no_others_and_are_never_the_best_to_take_files_of():
    made, said = sweep(Host(lambda x, i: float(x), ends={5: "Failed"}))
    assert made.best.hyperparameters == {"x": 5} and made.best_finished.hyperparameters == {"x": 4}
    assert "trial 4  failed  score 5  x=5  (why)" in said


def test_the_sweep_ends_when_its_time_is_over():
    host = Host(lambda x, i: 1.0, length=10**6)
    made, said = sweep(host, max_duration_minutes=0.1)
    assert [trial.status for trial in made.trials] == ["Canceled", "Canceled"]
    assert "The sweep ends after 0.1 minutes, with 2 of 10 trials" in said


def test_what_a_sweep_lacks_is_told_and_what_a_policy_ends_is_no_lack():
    policy = {"name": "bandit", "slack_amount": 0.5, "evaluation_interval": 1, "delay_evaluation": 0}
    assert sweep(Host(lambda x, i: float(x), length=5), policy=policy)[0].lacks == ""
    assert sweep(Host(lambda x, i: 1.0), max_total_runs=3)[0].lacks == ""
    ends = {2: "Failed", 3: "Canceled", 4: "Canceled"}
    assert sweep(Host(lambda x, i: 1.0, ends=ends))[0].lacks == "of its 5 trials 1 failed, 2 cancelled"
    made, _ = sweep(Host(lambda x, i: 1.0, length=10**6), max_duration_minutes=0.1)
    assert made.lacks == "of its 2 trials 2 out of time, the time over before all had begun"
    made, _ = sweep(Host(lambda x, i: 1.0, length=10**6), max_duration_minutes=0.1, max_total_runs=2)
    assert made.lacks == "of its 2 trials 2 out of time"
    unjudged, _ = sweep(Host(lambda x, i: float("nan"), ends={2: "Failed"}))
    assert unjudged.lacks == "of its 5 trials 1 failed; no trial has a value of the primary metric 'score'"


def test_the_first_of_equal_trials_is_the_best():
    assert sweep(Host(lambda x, i: 1.0))[0].best.number == 0


def test_a_trial_without_a_value_is_not_the_best():
    assert sweep(Host(lambda x, i: float("nan")))[0].best is None


def test_a_trial_is_looked_at_again_when_others_have_come_so_far():
    host = Host(lambda x, i: float(x), length=4)
    asked = host.look

    def look():  # trial 1 has no value for the first looks, trial 0 only one
        found = {name: dict(run) for name, run in asked().items()}
        host.looks = getattr(host, "looks", 0) + 1
        if host.looks < 3 and "run 1" in found:
            found["run 1"]["values"] = []
        if found["run 0"]["status"] == "Running":
            found["run 0"]["values"] = found["run 0"]["values"][:1]
        return found

    host.look, host.length = look, 10
    policy = {"name": "bandit", "slack_amount": 0.5, "evaluation_interval": 1, "delay_evaluation": 0}
    made, _ = sweep(host, policy=policy, max_total_runs=2)
    assert [trial.status for trial in made.trials] == ["Canceled", "Finished"]


def test_a_policy_looks_only_at_its_intervals():
    policy = {"name": "bandit", "slack_amount": 0.5, "evaluation_interval": 2, "delay_evaluation": 3}
    made, _ = sweep(Host(lambda x, i: float(x), length=3), policy=policy, max_total_runs=2)
    assert [trial.status for trial in made.trials] == ["Finished", "Finished"]
    made, _ = sweep(Host(lambda x, i: float(x), length=5), policy=policy, max_total_runs=2)
    assert made.trials[0].stopped.startswith("bandit policy at interval 4")


def test_of_a_failed_trial_the_scripts_own_last_words_are_told():
    error = "The step 'train.py' failed with exit code 1\n  last lines  Traceback\n                ValueError: no\n  log         /x\nHint: Read it."
    assert last_words(error) == "ValueError: no"
    assert last_words(error.replace("Traceback\n                ", "")) == "ValueError: no"
    assert last_words("Something else\nHint: no") == "Something else" and last_words("") == ""


def test_those_who_follow_are_told_how_far_the_sweep_is():
    told = []
    now = [0.0]
    pause = lambda seconds: now.__setitem__(0, now[0] + seconds)  # noqa: E731
    Sweep(
        {**SETTINGS, "max_total_runs": 3}, Host(lambda x, i: float(x), 1), lambda: now[0], pause, str, told.append
    ).run()
    assert told[0] == "0 of 3 trials, 2 at work" and told[-1] == "3 of 3 trials, 0 at work, best score 3"
    assert len(set(told)) == len(told)
