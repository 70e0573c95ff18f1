"""Collision shapes as points with radii: all that is needed to tell how high a body is above the ground."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from mimicjax.errors import UserError

RING = 16  # points on each rim of a cylinder
SURFACE = 32  # points on an ellipsoid

Geom = mujoco.mjtGeom


def ground_points(model: mujoco.MjModel, bodies: np.ndarray, xml: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [P,3] m in the frame of their body, radii [P] m, bodies [P] of all geoms of `bodies` that can collide.

    Spheres, capsules, boxes and meshes are exact; cylinders and ellipsoids are points on their surface.
    """
    points, radii, owners = [np.zeros((0, 3))], [np.zeros(0)], [np.zeros(0)]
    for geom in np.flatnonzero((model.geom_contype != 0) | (model.geom_conaffinity != 0)):
        body = np.searchsorted(bodies, model.geom_bodyid[geom])
        if body == len(bodies) or bodies[body] != model.geom_bodyid[geom]:
            continue  # the floor or an object
        local, radius = _shape(model, int(geom), xml)
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
        points.append(model.geom_pos[geom] + local @ rotation.reshape(3, 3).T)
        radii.append(np.full(len(local), radius))
        owners.append(np.full(len(local), body))
    return (
        np.concatenate(points).astype(np.float32),
        np.concatenate(radii).astype(np.float32),
        np.concatenate(owners).astype(np.int32),
    )


def _shape(model: mujoco.MjModel, geom: int, xml: Path) -> tuple[np.ndarray, float]:
    """Points [p,3] in the geom's frame and their radius."""
    kind, size = model.geom_type[geom], model.geom_size[geom]
    ends = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    if kind == Geom.mjGEOM_SPHERE:
        return np.zeros((1, 3)), size[0]
    if kind == Geom.mjGEOM_CAPSULE:
        return ends * size[1], size[0]
    if kind == Geom.mjGEOM_BOX:
        return np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3) * size, 0.0
    if kind == Geom.mjGEOM_CYLINDER:
        angle = np.arange(RING) * 2 * np.pi / RING
        rim = np.stack([np.cos(angle), np.sin(angle), np.zeros(RING)], axis=-1) * size[0]
        return np.concatenate([rim + end * size[1] for end in ends]), 0.0
    if kind == Geom.mjGEOM_ELLIPSOID:
        return _sphere_points(SURFACE) * size, 0.0
    if kind == Geom.mjGEOM_MESH:
        return _hull(model, int(model.geom_dataid[geom])), 0.0
    word = Geom(int(kind)).name.removeprefix("mjGEOM_").lower()
    raise UserError(
        f"{xml}: geom {model.geom(geom).name or geom} of body {model.body(int(model.geom_bodyid[geom])).name} is a "
        f"{word}, which a robot cannot collide with; use sphere, capsule, box, cylinder, ellipsoid or mesh"
    )


def _sphere_points(count: int) -> np.ndarray:
    """[count,3] points spread evenly on the unit sphere (Fibonacci lattice), its six extremes among them."""
    k = np.arange(count - 6) + 0.5
    z, turn = 1 - 2 * k / (count - 6), np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z**2)
    spread = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=-1)
    return np.concatenate([spread, np.eye(3), -np.eye(3)])


def _hull(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    """[p,3] vertices of the mesh's convex hull (all vertices if MuJoCo built no hull), in the frame of its geoms."""
    start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    vertices = model.mesh_vert[start : start + count]
    graph = model.mesh_graphadr[mesh]
    if graph < 0:
        return vertices
    # mesh_graph: vertex count, face count, an edge address per vertex, then the vertices' numbers in the mesh
    hull = model.mesh_graph[graph]
    return vertices[model.mesh_graph[graph + 2 + hull : graph + 2 + 2 * hull]]
