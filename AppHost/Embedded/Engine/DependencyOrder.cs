using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Embedded;

/// <summary>Who must be there before whom.</summary>
internal static class DependencyOrder
{
    /// <summary>
    /// The resources in steps: each step needs only earlier ones. Started front to back (everything within a step at once), stopped
    /// back to front.
    /// </summary>
    /// <exception cref="DistributedApplicationException">Resources wait for each other in a circle; the message draws it.</exception>
    public static IReadOnlyList<IReadOnlyList<Resource>> Steps(IEnumerable<IResource> resources)
    {
        var depths = new Dictionary<Resource, int>();
        var path = new List<Resource>();
        foreach (var resource in resources.Cast<Resource>())
            Depth(resource);

        return [.. depths.GroupBy(d => d.Value).OrderBy(g => g.Key).Select(g => (IReadOnlyList<Resource>)[.. g.Select(d => d.Key)])];

        int Depth(Resource resource)
        {
            if (depths.TryGetValue(resource, out var known))
                return known;

            var start = path.IndexOf(resource);
            if (start >= 0)
            {
                var circle = string.Join(" → ", path.Skip(start).Append(resource).Select(r => r.Name));
                throw new DistributedApplicationException($"These resources wait for each other in a circle: {circle}.");
            }

            path.Add(resource);
            var depth = Needs(resource).Select(n => Depth(n) + 1).DefaultIfEmpty(0).Max();
            path.RemoveAt(path.Count - 1);
            return depths[resource] = depth;
        }
    }

    private static IEnumerable<Resource> Needs(Resource resource)
    {
        var waits = resource.Waits.Select(w => (Resource)w.Dependency);
        return resource is PostgresDatabaseResource database ? waits.Append(database.Parent) : waits;
    }
}
