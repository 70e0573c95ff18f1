"""Plays an exported policy in plain MuJoCo: python examples/play_onnx.py policy.onnx. Needs mujoco, numpy and onnxruntime.

Nothing here is shared with training: what a robot's computer has to do is all in this file. Beside the policy lies its
scene (policy.xml) and a recorded episode (policy.npz), which --check compares with.
"""

import argparse
import json
from pathlib import Path

import mujoco
import numpy as np
import onnxruntime

REFERENCE = ("joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w")


def multiply(a, b):
    """Product of quaternions [4], w first."""
    return np.array([a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])


def rotate(q, v):
    """Vectors [...,3] turned by a quaternion [4]."""
    turned = 2.0 * np.cross(np.broadcast_to(q[1:], np.shape(v)), v)
    return v + q[0] * turned + np.cross(np.broadcast_to(q[1:], np.shape(v)), turned)


def about_z(angle):
    return np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])


def heading(q):
    """Angle about z of the turned x axis."""
    return np.arctan2(2 * (q[1] * q[2] + q[0] * q[3]), 1 - 2 * (q[2] ** 2 + q[3] ** 2))


def six(q):
    """A rotation as the first and third column of its matrix."""
    return np.concatenate([rotate(q, np.eye(3)[0]), rotate(q, np.eye(3)[2])])


def near(angle):
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


class Clip:
    """The reference, which may be displaced over the ground: it goes after a robot that was shoved aside."""

    def __init__(self, rows, follow, dt):
        self.rows, self.follow, self.dt, self.shift, self.yaw = rows, follow, dt, np.zeros(2), 0.0

    def at(self, step):
        """Root place and rotation, body places, joint angles at a control step."""
        row = min(step, len(self.rows["joint_pos"]) - 1)
        turn, shift = about_z(self.yaw), np.append(self.shift, 0.0)
        bodies = rotate(turn, self.rows["body_pos_w"][row]) + shift
        return bodies[0], multiply(turn, self.rows["body_quat_w"][row, 0]), bodies, self.rows["joint_pos"][row]

    def advance(self, step, pos, quat):
        """After a control step that brought the robot's root to pos, quat."""
        if self.follow["time"] is None:
            return
        share = 1.0 if self.follow["time"] == 0 else 1 - np.exp(-self.dt / self.follow["time"])
        row = min(step, len(self.rows["joint_pos"]) - 1)
        place, rotation = self.rows["body_pos_w"][row, 0, :2], self.rows["body_quat_w"][row, 0]
        away = self.at(step)[0][:2]
        if self.follow["heading"]:
            between = multiply(quat, rotation * [1, -1, -1, -1])
            wanted = 2 * np.arctan2(between[3], between[0])
            self.yaw = near(self.yaw + share * near(wanted - self.yaw))
            self.yaw -= np.clip(self.yaw, -self.dt * self.follow["pull_heading"], self.dt * self.follow["pull_heading"])
        gone = away + share * (pos[:2] - away) - place
        gone = gone * max(0.0, 1 - self.dt * self.follow["pull"] / max(np.linalg.norm(gone), 1e-9))
        self.shift = place + gone - rotate(about_z(self.yaw), np.append(place, 0.0))[:2]


class Player:
    """The policy with its scene, and what it sees of it."""

    def __init__(self, file):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.facts = json.loads(self.session.get_modelmeta().custom_metadata_map["mimicjax"])
        self.model = mujoco.MjModel.from_xml_path(str(Path(file).with_suffix(".xml")))
        self.data = mujoco.MjData(self.model)
        self.substeps = round(self.facts["control_dt"] / self.facts["sim_dt"])
        names = self.session.get_modelmeta().custom_metadata_map["body_names"].split(",")
        self.bodies = [self.model.body(name).id for name in names]
        self.keys = [names.index(name) for name in self.facts["key_bodies"]]
        self.feet = {self.model.body(name).id for name in self.facts["contact_bodies"]}
        steps = np.arange(self.facts["motion"]["steps"], dtype=np.float32)[:, None]
        empty = np.zeros((len(steps), self.facts["observation"]["size"]), np.float32)
        rows = dict(zip(REFERENCE, self.session.run(list(REFERENCE), {"obs": empty, "time_step": steps}), strict=True))
        self.clip = Clip(rows, self.facts["follow"], self.facts["control_dt"])
        before = self.facts["observation"][
            "before"
        ]  # the robot's own last steps: an episode begins as if it came along the clip
        self.past = [self.sensed(*map(np.array, row)) for row in zip(before["qpos"], before["qvel"], strict=True)]
        self.data.qpos[:3], self.data.qpos[3:7] = rows["body_pos_w"][0, 0], rows["body_quat_w"][0, 0]
        self.data.qpos[7:], self.data.qvel[6:] = rows["joint_pos"][0], rows["joint_vel"][0]
        back = rows["body_quat_w"][0, 0] * [1, -1, -1, -1]  # MuJoCo has a root's spin in its own axes
        self.data.qvel[:3], self.data.qvel[3:6] = (
            rows["body_lin_vel_w"][0, 0],
            rotate(back, rows["body_ang_vel_w"][0, 0]),
        )

    def sensed(self, qpos, qvel):
        """What the robot tells of itself: rotation and velocities of its root in the world's axes, joints."""
        return qpos[3:7].copy(), qvel[:3].copy(), rotate(qpos[3:7], qvel[3:6]), qpos[7:].copy(), qvel[6:].copy()

    def turned(self, sensed, back):
        """The same in other axes, part by part."""
        quat, velocity, spin, joints, speeds = sensed
        velocity = [rotate(back, velocity)] if self.facts["observation"]["root_velocity"] else []
        return [six(multiply(back, quat)), *velocity, rotate(back, spin), joints, speeds]

    def observe(self, step):
        """What the policy sees [O] at a control step, part by part."""
        mujoco.mj_kinematics(self.model, self.data)
        settings, data = self.facts["observation"], self.data
        assert settings["joints"] == "angle", "joints as rotations: not played by this file"
        quat, turned = data.qpos[3:7], settings["frame"] != "global"
        back = about_z(-heading(quat)) if turned else about_z(0.0)
        places, now = data.xpos[self.bodies], self.sensed(data.qpos, data.qvel)
        terms = {
            "character": lambda: [
                places[0, 2:3] if settings["root_height"] else [], *self.turned(now, back),
                rotate(back, places[self.keys] - places[0]),
            ],
            "past": lambda: [part for row in self.past for part in self.turned(row, back)],
            "target": lambda: self.targets(step, settings, places[0], back),
        }  # fmt: skip
        seen = np.concatenate([np.ravel(part) for term in settings["terms"] for part in terms[term]()])
        self.past = [*self.past, now][1:]
        return seen

    def targets(self, step, settings, seer, back):
        """The coming poses of the clip."""
        for number, ahead in enumerate(settings["target_steps"]):
            pos, quat, bodies, joints = self.clip.at(step + ahead)
            if settings["frame"] == "heading" and number == 0:
                seer, back = pos, about_z(-heading(quat))
            yield rotate(back, pos - seer)[:2]
            yield pos[2:3] if settings["root_height"] else []
            yield from (six(multiply(back, quat)), joints, rotate(back, bodies[self.keys] - pos))

    def step(self, step, wrench=None, body=0, place=None):
        """One control step, from a place (qpos, qvel) if one is given; gives observation, action and joint targets."""
        if place:
            self.data.qpos[:], self.data.qvel[:] = place
        seen = self.observe(step).astype(np.float32)
        feed = {"obs": seen[None], "time_step": np.full((1, 1), step, np.float32)}
        action, targets = self.session.run(["actions", "joint_targets"], feed)
        self.data.ctrl[:], self.data.xfrc_applied[:] = targets[0], 0.0
        if wrench is not None:
            self.data.xfrc_applied[body] = wrench
        for _ in range(self.substeps):
            mujoco.mj_step(self.model, self.data)
        self.clip.advance(step + 1, self.data.qpos[:3], self.data.qpos[3:7])
        return seen, action[0], targets[0]

    def fallen(self):
        """Whether something that may not touch the ground does."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_collision(self.model, self.data)
        pairs = [{self.model.geom_bodyid[side] for side in contact.geom} for contact in self.data.contact]
        return any(0 in pair and not (pair - {0}) <= self.feet for pair in pairs)

    def error(self, step):
        """Mean distance m of the bodies from the clip's, about the root."""
        clip, own = self.clip.at(step)[2], self.data.xpos[self.bodies]
        return np.linalg.norm((clip - clip[0]) - (own - own[0]), axis=-1).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="policy.onnx, its scene policy.xml beside it")
    parser.add_argument("--push", type=float, default=0.0, metavar="N_S", help="shove after 1 s, of 0.2 s, N s")
    parser.add_argument("--heading", type=float, default=0.0, metavar="DEG", help="of the shove, 0 is along x")
    parser.add_argument("--body", default="torso_link", help="that is shoved")
    parser.add_argument("--check", action="store_true", help="compare with the recorded episode policy.npz")
    options = parser.parse_args()
    player = Player(options.file)
    trace = np.load(Path(options.file).with_suffix(".npz")) if options.check else None
    body, angle, dt = player.model.body(options.body).id, np.radians(options.heading), player.facts["control_dt"]
    shove = options.push / 0.2 * np.array([np.cos(angle), np.sin(angle), 0, 0, 0, 0])
    errors, worst = [], np.zeros(3)
    ahead = max(player.facts["observation"]["target_steps"]) if player.facts["motion"]["loops"] else 0
    steps = player.facts["motion"]["steps"] - 1 - ahead if trace is None else len(trace["obs"])
    for step in range(steps):
        pushing = options.push and 1.0 <= step * dt < 1.2 - 1e-9
        place = None if trace is None else (trace["qpos"][step], trace["qvel"][step])
        made = player.step(step, shove if pushing else None, body, place)
        if trace is not None:
            rows = (trace[name][step] for name in ("obs", "action", "command"))
            worst = np.maximum(worst, [np.abs(a - b).max() for a, b in zip(made, rows, strict=True)])
        errors.append(player.error(step + 1))
        if player.fallen():
            break
    print(f"{len(errors)} of {steps} control steps, {'fell' if len(errors) < steps else 'up to the end'}; ", end="")
    print(f"bodies {1000 * np.mean(errors):.1f} mm from the clip's about the root, on average")
    if trace is not None:
        print(
            "largest difference from the recorded episode: obs {:.2g}, action {:.2g}, target {:.2g} rad".format(*worst)
        )


if __name__ == "__main__":
    main()
