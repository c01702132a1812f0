#!/usr/bin/env python3
"""Writes crates/loopline-schema/tests/it/kubectl-bodies.txt: the protobuf bodies that kubectl sends
and, where kubectl can print it, the object that it means (`--dry-run=client -o json`).

usage: python3 scripts/kubectl-bodies.py   (kubectl 1.28 or newer on PATH)

A server on loopback records what kubectl posts and answers that it is already there.
"""

import base64
import http.server
import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path

COMMANDS = """
create deployment web --image=nginx:1.27 --image=busybox --replicas=3
create deployment one --image=nginx --port=8080 -- sleep 100
create configmap c --from-literal=a=b --from-literal=empty=
create secret generic s --from-literal=a=b
create namespace n
create job j --image=busybox -- date
create cronjob cj --image=busybox --schedule=*/1_*_*_*_* -- date
create ingress i --rule=foo.com/bar=svc1:8080,tls=my-cert --rule=foo.com/x*=svc2:http --class=nginx
create role r --verb=get,list --resource=pods
create rolebinding rb --clusterrole=admin --user=u1 --group=g1 --serviceaccount=ns:sa
create clusterrole cr --verb=get --non-resource-url=/logs/*
create clusterrolebinding crb --clusterrole=cluster-admin --serviceaccount=a:b
create serviceaccount sa
create token sa --duration=10m --audience=x
create poddisruptionbudget pdb --selector=app=web --min-available=50%
create poddisruptionbudget pdb2 --selector=app=web --max-unavailable=1
create quota q --hard=cpu=1,memory=1Gi,pods=3 --scopes=BestEffort
create priorityclass pc --value=1000 --description=high
create service clusterip s1 --tcp=5678:8080
create service nodeport s2 --tcp=5678:http --node-port=30080
create service externalname s3 --external-name=bar.com
create service loadbalancer s4 --tcp=80
autoscale deployments.apps web --min=2 --max=5 --cpu-percent=80
auth can-i get pods
auth can-i --list
auth whoami
"""
LISTS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
        {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
         "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}}]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod",
         "verbs": ["get", "list", "create"]}]},
    "/apis/apps/v1": {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [
        {"name": "deployments", "singularName": "deployment", "namespaced": True,
         "kind": "Deployment", "verbs": ["get", "list", "create"]},
        {"name": "deployments/scale", "singularName": "", "namespaced": True, "group": "autoscaling",
         "version": "v1", "kind": "Scale", "verbs": ["get", "update"]}]},
    "/apis/apps/v1/namespaces/default/deployments/web": {
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 1}},
    "/apis/apps/v1/namespaces/default/deployments/web/scale": {
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 1}},
}
bodies = []


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, code, value):
        text = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        found = LISTS.get(self.path.split("?")[0])
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                  "reason": "NotFound", "code": 404}
        self.answer(200 if found else 404, found or status)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Type") == "application/vnd.kubernetes.protobuf":
            bodies.append(body)
        self.answer(409, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                          "reason": "AlreadyExists", "message": "recorded", "code": 409})


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lines = ["# What kubectl posts, written by scripts/kubectl-bodies.py: command, body, object."]
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, HOME=home, KUBECONFIG="/dev/null")
        base = ["kubectl", "--server", f"http://127.0.0.1:{server.server_port}"]
        for command in COMMANDS.strip().splitlines():
            words = [word.replace("_", " ") for word in command.split()]
            bodies.clear()
            done = subprocess.run(base + words, env=env, capture_output=True, text=True)
            if len(bodies) != 1:
                raise SystemExit(f"{command}: {len(bodies)} bodies: {done.stderr}")
            body = base64.b64encode(bodies[0]).decode()
            # Options end where the command of a container begins.
            at = words.index("--") if "--" in words else len(words)
            printed = subprocess.run(
                base + words[:at] + ["--dry-run=client", "-o", "json"] + words[at:],
                env=env, capture_output=True, text=True)
            known = printed.returncode == 0 and words[0] != "auth"
            text = json.dumps(json.loads(printed.stdout)) if known else "-"
            lines.append("\t".join([command, body, text]))
    root = Path(__file__).resolve().parent.parent
    (root / "crates/loopline-schema/tests/it/kubectl-bodies.txt").write_text("\n".join(lines) + "\n")


main()
