"""The effect of each value, and its absence without the value."""

import typing

import pytest
import yaml

from tests.chart.helm import VALUES, container, daemonset, pod, settings, template

NAME = "exec-exporter"


def kinds(*pairs):
    return {kind for kind, _ in template(*settings(*pairs))}


def made(kind, *pairs, name=NAME):
    return template(*settings(*pairs))[kind, name]


def test_the_default_is_the_least():
    assert kinds() == {"DaemonSet", "Pod", "Service", "ServiceAccount"}


def test_privileges_of_the_default():
    spec = pod()
    assert spec["hostPID"] is True
    assert "hostNetwork" not in spec
    assert spec["automountServiceAccountToken"] is False
    assert made("ServiceAccount")["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container()["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
    }
    assert [volume["name"] for volume in spec["volumes"] if "emptyDir" not in volume] == []


def test_content_hashes_add_the_needed_privileges_and_nothing_else():
    assert "--path.rootfs=/proc/1/root" in container("contentHashes.enabled=true")["args"]
    assert {"--no-content.hash", "--no-learning.packages"} <= set(container()["args"])
    assert not {"--no-content.hash", "--no-learning.packages"} & set(container("contentHashes.enabled=true")["args"])
    context = container("contentHashes.enabled=true")["securityContext"]
    assert context.pop("appArmorProfile") == {"type": "Unconfined"}
    added = context["capabilities"]["add"]
    assert added == ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"]
    added[2:] = []
    assert context == container()["securityContext"]
    assert pod("contentHashes.enabled=true")["securityContext"] == pod()["securityContext"]


def test_the_apparmor_field_is_for_kubernetes_that_has_it():
    assert "appArmorProfile" not in container("contentHashes.enabled=true", kubernetes="1.29")["securityContext"]
    assert "appArmorProfile" in container("contentHashes.enabled=true", kubernetes="1.30")["securityContext"]


def test_every_node_but_virtual_ones():
    spec = pod()
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = required["nodeSelectorTerms"]
    assert {(one["key"], one["operator"], *one["values"]) for one in term["matchExpressions"]} == {
        ("eks.amazonaws.com/compute-type", "NotIn", "fargate"),
        ("type", "NotIn", "virtual-kubelet"),
    }


@pytest.mark.parametrize(
    ("pair", "path", "expected"),
    [
        ("hostPID=false", ["hostPID"], False),
        ("hostNetwork=true", ["hostNetwork"], True),
        ('priorityClassName="system-node-critical"', ["priorityClassName"], "system-node-critical"),
        ("terminationGracePeriodSeconds=3", ["terminationGracePeriodSeconds"], 3),
        ('imagePullSecrets=[{"name": "a"}]', ["imagePullSecrets"], [{"name": "a"}]),
        ('podSecurityContext={"runAsUser": 7}', ["securityContext", "runAsUser"], 7),
        ('tolerations=[{"key": "a"}]', ["tolerations"], [{"key": "a"}]),
        ('nodeSelector.zone="b"', ["nodeSelector"], {"kubernetes.io/os": "linux", "zone": "b"}),
        ('serviceAccount.name="c"', ["serviceAccountName"], "c"),
        ("serviceAccount.create=false", ["serviceAccountName"], "default"),
    ],
)
def test_fields_of_the_pods(pair, path, expected):
    assert _at(pod(pair), path) == expected


@pytest.mark.parametrize(
    ("pair", "path", "expected"),
    [
        ('image.tag="2"', ["image"], "localhost/exec-exporter:2"),
        ('image.repository="r.example/e"', ["image"], "r.example/e:0.1.0"),
        (f'image.digest="sha256:{"0" * 64}"', ["image"], f"localhost/exec-exporter@sha256:{'0' * 64}"),
        ('image.pullPolicy="Always"', ["imagePullPolicy"], "Always"),
        ('env=[{"name": "A", "value": "b"}]', ["env"], [{"name": "A", "value": "b"}]),
        ('securityContext={"runAsUser": 0}', ["securityContext", "runAsUser"], 0),
        ("web.port=1042", ["ports"], [{"name": "metrics", "containerPort": 1042}]),
        ("startupProbe.failureThreshold=9", ["startupProbe", "failureThreshold"], 9),
        ("livenessProbe.periodSeconds=8", ["livenessProbe", "periodSeconds"], 8),
        ("readinessProbe.timeoutSeconds=7", ["readinessProbe", "timeoutSeconds"], 7),
        ('resources.limits={"cpu": "1"}', ["resources", "limits"], {"cpu": "1", "memory": "384Mi"}),
    ],
)
def test_fields_of_the_container(pair, path, expected):
    assert _at(container(pair), path) == expected


@pytest.mark.parametrize(
    ("pair", "argument"),
    [
        ("web.port=1042", "--web.listen-address=:1042"),
        ('log.level="debug"', "--log.level=debug"),
        ('log.format="json"', "--log.format=json"),
        ('extraArgs=["--bpf.map-entries=9"]', "--bpf.map-entries=9"),
        ('web.existingSecret="x"', "--web.config.file=/etc/exec_exporter/web/web.yml"),
    ],
)
def test_flags(pair, argument):
    more = ('web.scheme="http"', "web.authentication=false") if "Secret" in pair else ()
    assert argument in container(pair, *more)["args"]
    assert argument not in container()["args"]


def test_extra_volumes():
    pairs = 'extraVolumes=[{"name": "a", "emptyDir": {}}]', 'extraVolumeMounts=[{"name": "a", "mountPath": "/a"}]'
    assert {"name": "a", "emptyDir": {}} in pod(*pairs)["volumes"]
    assert {"name": "a", "mountPath": "/a"} in container(*pairs)["volumeMounts"]


def test_update_strategy():
    assert daemonset()["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "10%"},
    }
    changed = daemonset('updateStrategy={"type": "OnDelete", "rollingUpdate": null}')
    assert changed["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_names():
    assert ("DaemonSet", "exec-exporter-other") in template(*settings('nameOverride="other"'))
    assert {name for _, name in template(*settings('fullnameOverride="y"'))} == {"y", "y-test"}


def test_another_namespace_for_all():
    for one in template(*settings('namespaceOverride="z"')).values():
        assert one["metadata"]["namespace"] == "z"


def test_common_labels_are_everywhere_but_in_selectors():
    objects = template(f"--values={VALUES / 'everything.yaml'}")
    for one in objects.values():
        assert one["metadata"]["labels"]["team"] == "security", one["kind"]
    selector = objects["DaemonSet", "execs"]["spec"]["selector"]["matchLabels"]
    assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}


def test_no_label_of_a_user_breaks_a_selector():
    objects = template(
        *settings('commonLabels={"app.kubernetes.io/name": "a"}', 'podLabels={"app.kubernetes.io/name": "b"}')
    )
    spec = objects["DaemonSet", NAME]["spec"]
    wanted = spec["selector"]["matchLabels"]
    assert wanted.items() <= spec["template"]["metadata"]["labels"].items()
    assert objects["Service", NAME]["spec"]["selector"] == wanted


def test_the_service_does_not_select_the_test():
    objects = template()
    selector = objects["Service", NAME]["spec"]["selector"]
    assert not selector.items() <= objects["Pod", f"{NAME}-test"]["metadata"]["labels"].items()


def test_service():
    service = made("Service", 'service={"type": "NodePort", "annotations": {"a": "b"}, "labels": {"c": "d"}}')
    assert service["spec"]["type"] == "NodePort"
    assert service["metadata"]["annotations"] == {"a": "b"}
    assert service["metadata"]["labels"]["c"] == "d"
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 10042, "targetPort": "metrics"}]
    assert made("Service", 'service.clusterIP="None"')["spec"]["clusterIP"] == "None"


def test_no_service_account():
    assert "ServiceAccount" not in kinds("serviceAccount.create=false")


def test_annotations():
    changed = daemonset('annotations={"a": "b"}', 'podAnnotations={"c": "d"}', 'podLabels={"e": "f"}')
    assert changed["metadata"]["annotations"] == {"a": "b"}
    assert changed["spec"]["template"]["metadata"]["annotations"] == {"c": "d"}
    assert changed["spec"]["template"]["metadata"]["labels"]["e"] == "f"


class TestCatalogue:
    HOST = 'catalogue.hostPath="/var/lib/execs"'
    MOUNT: typing.ClassVar = {"name": "catalogue", "mountPath": "/var/lib/exec_exporter"}

    def test_is_in_the_pod(self):
        assert {"name": "catalogue", "emptyDir": {"sizeLimit": "256Mi"}} in pod()["volumes"]
        assert {"name": "catalogue", "emptyDir": {"sizeLimit": "1Gi"}} in pod('catalogue.sizeLimit="1Gi"')["volumes"]
        assert self.MOUNT in container()["volumeMounts"]
        assert "initContainers" not in pod()

    def test_is_on_the_node_and_the_exporter_s_own(self):
        spec = pod(self.HOST)
        source = {"path": "/var/lib/execs", "type": "DirectoryOrCreate"}
        assert {"name": "catalogue", "hostPath": source} in spec["volumes"]
        (first,) = spec["initContainers"]
        assert first["volumeMounts"] == [self.MOUNT]
        assert first["securityContext"] == {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
        }
        assert spec["containers"][0]["securityContext"] == container()["securityContext"]

    def test_accepted_findings_are_in_a_config_map_that_is_read_again(self):
        given = 'acceptedFindings=[{"path": "/opt/ci/*", "reason": "build hosts"}]'
        text = made("ConfigMap", given, name=f"{NAME}-accepted")["data"]["accepted.yml"]
        assert yaml.safe_load(text) == {"accepted": [{"path": "/opt/ci/*", "reason": "build hosts"}]}
        assert {"name": "accepted", "configMap": {"name": f"{NAME}-accepted"}} in pod(given)["volumes"]
        assert "--findings.accepted-file=/etc/exec_exporter/accepted/accepted.yml" in container(given)["args"]
        assert "annotations" not in daemonset(given)["spec"]["template"]["metadata"]


class TestPins:
    ON = "pins.enabled=true"
    MOUNT: typing.ClassVar = {"name": "pins", "mountPath": "/run/bpf"}
    PATH: typing.ClassVar = {"name": "EXEC_EXPORTER_BPF_PIN_PATH", "value": "/run/bpf/exec_exporter"}

    def test_are_off(self):
        assert "--bpf.pin-path=" in container()["args"]
        assert "--bpf.unpin-on-stop" not in container()["args"]
        assert "env" not in container()
        assert "pins" not in {one["name"] for one in (*pod()["volumes"], *container()["volumeMounts"])}

    def test_lie_in_a_directory_of_the_exporter_s_own(self):
        spec = pod(self.ON)
        source = {"path": "/sys/fs/bpf/exec-exporter", "type": "DirectoryOrCreate"}
        assert [one for one in spec["volumes"] if "hostPath" in one] == [{"name": "pins", "hostPath": source}]
        (first,) = spec["initContainers"]
        assert first["volumeMounts"] == [self.MOUNT]
        assert first["args"] == ["65534", "65534", self.MOUNT["mountPath"]]
        assert first["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
        assert self.MOUNT in spec["containers"][0]["volumeMounts"]
        other = pod(self.ON, 'pins.hostPath="/sys/fs/bpf/execs"')["volumes"]
        assert {"name": "pins", "hostPath": {**source, "path": "/sys/fs/bpf/execs"}} in other

    def test_are_where_the_exporter_looks(self):
        given = container(self.ON, 'env=[{"name": "A", "value": "b"}]')
        assert given["env"] == [self.PATH, {"name": "A", "value": "b"}]
        assert not [one for one in given["args"] if one.startswith("--bpf.")]

    def test_take_no_more_privileges(self):
        assert container(self.ON)["securityContext"] == container()["securityContext"]
        assert pod(self.ON)["securityContext"] == pod()["securityContext"]

    def test_are_removed_with_the_pod_on_request(self):
        assert "--bpf.unpin-on-stop" not in container(self.ON)["args"]
        changed = container(self.ON, "pins.unpinOnStop=true")
        assert set(changed["args"]) - set(container(self.ON)["args"]) == {"--bpf.unpin-on-stop"}
        assert self.PATH in changed["env"]

    def test_and_the_catalogue_have_one_owner(self):
        spec = pod(self.ON, TestCatalogue.HOST)
        (first,) = spec["initContainers"]
        assert first["volumeMounts"] == [TestCatalogue.MOUNT, self.MOUNT]
        assert first["args"][2:] == [TestCatalogue.MOUNT["mountPath"], self.MOUNT["mountPath"]]
        assert {one["name"] for one in spec["volumes"] if "hostPath" in one} == {"catalogue", "pins"}

    @pytest.mark.parametrize(
        ("pairs", "expected"),
        [
            (['podSecurityContext={"runAsUser": 7, "runAsGroup": 8}'], ["7", "8"]),
            (['securityContext={"runAsUser": 0}'], ["0", "65534"]),
            (['podSecurityContext={"runAsUser": 7}', 'securityContext={"runAsUser": 2000000}'], ["2000000", "65534"]),
        ],
    )
    def test_belong_to_whom_the_container_is(self, pairs, expected):
        (first,) = pod(self.ON, *pairs)["initContainers"]
        assert first["args"][:2] == expected


class TestConfiguration:
    CONFIG = 'config={"series": {"limit": 7}}'

    def test_is_in_a_config_map(self):
        assert made("ConfigMap", self.CONFIG)["data"] == {"exec_exporter.yml": "series:\n  limit: 7\n"}
        assert {"name": "config", "configMap": {"name": NAME}} in pod(self.CONFIG)["volumes"]
        assert "--config.file=/etc/exec_exporter/config/exec_exporter.yml" in container(self.CONFIG)["args"]
        assert "ConfigMap" not in kinds()
        assert "config" not in {one["name"] for one in container()["volumeMounts"]}

    def test_that_changes_restarts_the_pods(self):
        annotations = [
            daemonset(one)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for one in (self.CONFIG, self.CONFIG, 'config={"series": {"limit": 8}}')
        ]
        assert annotations[0] == annotations[1] != annotations[2]


class TestWebConfiguration:
    TLS = 'web.config={"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"}}'

    def test_is_in_a_secret(self):
        secret = made("Secret", self.TLS, name=f"{NAME}-web")
        assert secret["stringData"]["web.yml"] == "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n"
        (volume,) = (one for one in pod(self.TLS)["volumes"] if one["name"] == "web")
        assert volume["projected"]["sources"] == [{"secret": {"name": f"{NAME}-web"}}]

    def test_lies_beside_certificates(self):
        (volume,) = (one for one in pod(self.TLS, 'web.tlsSecret="t"')["volumes"] if one["name"] == "web")
        assert [one["secret"]["name"] for one in volume["projected"]["sources"]] == [f"{NAME}-web", "t"]

    def test_of_the_users_own(self):
        pairs = 'web={"existingSecret": "own", "scheme": "https", "authentication": false}'
        assert "Secret" not in kinds(pairs)
        (volume,) = (one for one in pod(pairs)["volumes"] if one["name"] == "web")
        assert volume["projected"]["sources"] == [{"secret": {"name": "own"}}]
        assert container(pairs)["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"

    def test_decides_the_scheme_of_scrapes_and_probes(self):
        probes = container(self.TLS)
        assert {probes[name]["httpGet"]["scheme"] for name in ("startupProbe", "livenessProbe", "readinessProbe")} == {
            "HTTPS"
        }
        (endpoint,) = made("ServiceMonitor", self.TLS, "serviceMonitor.enabled=true")["spec"]["endpoints"]
        assert endpoint["scheme"] == "https"
        assert endpoint["tlsConfig"] == {"insecureSkipVerify": True}
        url, expected = made("Pod", self.TLS, name=f"{NAME}-test")["spec"]["containers"][0]["args"][1:]
        assert url == "https://exec-exporter.exec-exporter.svc:10042/metrics"
        assert expected == "scrape"

    @pytest.mark.parametrize(
        "config",
        [
            '{"basic_auth_users": {"a": "b"}}',
            '{"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}}',
            '{"tls_server_config": {"client_allowed_sans": ["a"]}}',
        ],
    )
    def test_that_locks_the_kubelet_out_leaves_it_the_port(self, config):
        probed = container(f"web.config={config}")
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert probed[name]["tcpSocket"] == {"port": "metrics"}
            assert "httpGet" not in probed[name]
        assert made("Pod", f"web.config={config}", name=f"{NAME}-test")["spec"]["containers"][0]["args"][2] == (
            "authentication"
        )

    def test_without_one(self):
        assert container()["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "metrics", "scheme": "HTTP"}
        assert container()["startupProbe"]["httpGet"]["path"] == "/-/ready"
        assert container()["livenessProbe"]["httpGet"]["path"] == "/-/healthy"


@pytest.mark.parametrize(("kind", "switch", "list_of"), [
    ("ServiceMonitor", "serviceMonitor", "endpoints"),
    ("PodMonitor", "podMonitor", "podMetricsEndpoints"),
])  # fmt: skip
class TestMonitors:
    def test_select_the_exporter(self, kind, switch, list_of):
        objects = template(*settings(f"{switch}.enabled=true"))
        spec = objects[kind, NAME]["spec"]
        target = (
            objects["Service", NAME] if kind == "ServiceMonitor" else objects["DaemonSet", NAME]["spec"]["template"]
        )
        assert spec["selector"]["matchLabels"].items() <= target["metadata"]["labels"].items()
        assert spec["namespaceSelector"] == {"matchNames": ["exec-exporter"]}
        (endpoint,) = spec[list_of]
        assert endpoint == {
            "port": "metrics",
            "scheme": "http",
            "relabelings": [
                {"targetLabel": "job", "replacement": "exec"},
                {"targetLabel": "instance", "sourceLabels": ["__meta_kubernetes_pod_node_name"]},
            ],
        }

    def test_accept_their_values(self, kind, switch, list_of):
        given = {
            "enabled": "true", "namespace": '"monitoring"', "labels": '{"release": "p"}', "annotations": '{"a": "b"}',
            "interval": '"30s"', "scrapeTimeout": '"9s"', "honorLabels": "true", "sampleLimit": "5",
            "params": '{"collect[]": ["executions", "probe"]}',
            "tlsConfig": '{"serverName": "s"}', "basicAuth": '{"username": {"name": "n", "key": "k"}}',
            "relabelings": '[{"targetLabel": "c", "replacement": "d"}]', "metricRelabelings": '[{"regex": "e"}]',
        }  # fmt: skip
        monitor = made(kind, *(f"{switch}.{key}={value}" for key, value in given.items()))
        assert monitor["metadata"]["namespace"] == "monitoring"
        assert monitor["metadata"]["labels"]["release"] == "p"
        assert monitor["metadata"]["annotations"] == {"a": "b"}
        assert monitor["spec"]["sampleLimit"] == 5
        (endpoint,) = monitor["spec"][list_of]
        assert (endpoint["interval"], endpoint["scrapeTimeout"], endpoint["honorLabels"]) == ("30s", "9s", True)
        assert endpoint["params"] == {"collect[]": ["executions", "probe"]}
        assert endpoint["tlsConfig"] == {"serverName": "s"}
        assert endpoint["basicAuth"] == {"username": {"name": "n", "key": "k"}}
        assert endpoint["relabelings"][2:] == [{"targetLabel": "c", "replacement": "d"}]
        assert endpoint["metricRelabelings"] == [{"regex": "e"}]


def test_network_policy():
    spec = made("NetworkPolicy", "networkPolicy.enabled=true")["spec"]
    assert spec["podSelector"]["matchLabels"] == daemonset()["spec"]["selector"]["matchLabels"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in spec
    assert spec["ingress"] == [{"ports": [{"port": "metrics", "protocol": "TCP"}]}]
    peers = '[{"podSelector": {"matchLabels": {"app": "prometheus"}}}]'
    (rule,) = made("NetworkPolicy", "networkPolicy.enabled=true", f"networkPolicy.from={peers}")["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]


class TestOpenShift:
    def test_the_constraints_allow_the_settings_of_the_pods(self):
        objects = template(*settings("openshift.enabled=true", "contentHashes.enabled=true", "hostNetwork=true"))
        constraints = objects["SecurityContextConstraints", "exec-exporter-exec-exporter"]
        spec = objects["DaemonSet", NAME]["spec"]["template"]["spec"]
        context = spec["containers"][0]["securityContext"]
        assert constraints["allowedCapabilities"] == context["capabilities"]["add"]
        assert constraints["runAsUser"] == {"type": "MustRunAs", "uid": spec["securityContext"]["runAsUser"]}
        assert constraints["allowHostPID"] == spec["hostPID"]
        assert constraints["allowHostNetwork"] == spec["hostNetwork"]
        assert constraints["allowPrivilegedContainer"] is context["privileged"] is False
        assert spec["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
        kinds = {next(kind for kind in volume if kind != "name") for volume in spec["volumes"]}
        assert kinds <= set(constraints["volumes"])

    @pytest.mark.parametrize("switch", ['catalogue.hostPath="/x"', "pins.enabled=true"])
    def test_with_a_directory_of_the_node(self, switch):
        constraints = made("SecurityContextConstraints", "openshift.enabled=true", switch, name=f"{NAME}-{NAME}")
        assert constraints["allowHostDirVolumePlugin"] is True
        assert constraints["allowedCapabilities"] == ["BPF", "PERFMON", "CHOWN"]
        assert constraints["runAsUser"] == {"type": "RunAsAny"}
        assert "hostPath" in constraints["volumes"]

    def test_without_features_that_are_off(self):
        constraints = made("SecurityContextConstraints", "openshift.enabled=true", name="exec-exporter-exec-exporter")
        assert constraints["allowedCapabilities"] == ["BPF", "PERFMON"]
        assert constraints["allowHostNetwork"] is constraints["allowHostPorts"] is False
        assert constraints["allowHostDirVolumePlugin"] is False
        assert "seLinuxOptions" not in pod()["securityContext"]

    def test_the_account_may_use_them(self):
        objects = template(*settings("openshift.enabled=true"))
        (rule,) = objects["Role", NAME]["rules"]
        assert rule["verbs"] == ["use"]
        assert ("SecurityContextConstraints", *rule["resourceNames"]) in objects
        binding = objects["RoleBinding", NAME]
        assert binding["roleRef"]["name"] == NAME
        (subject,) = binding["subjects"]
        assert subject["name"] == objects["DaemonSet", NAME]["spec"]["template"]["spec"]["serviceAccountName"]


def _at(value, path):
    for key in path:
        value = value[key]
    return value
