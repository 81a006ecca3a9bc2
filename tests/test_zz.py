import time
def test_smoke(project, chain):
    p,_ = chain("a.py","b.py","c.py")
    for _ in range(3):
        t=time.time(); print(p.plan()); print("plan", time.time()-t)
        t=time.time(); s=project.run(p); print(s.headline, [x.why for x in s.steps], s.warnings, "run", time.time()-t)
    print(project.executions)
