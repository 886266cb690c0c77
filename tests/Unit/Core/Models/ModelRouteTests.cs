using AiAspire.Core.Models;

namespace AiAspire.Unit.CoreTests.Models;

public sealed class ModelRouteTests
{
    [Fact]
    public void Weights_hold_within_a_group_and_groups_keep_their_order()
    {
        var route = new ModelRoute([[Target("a", 3), Target("b", 1)], [Target("c", 1)]]);
        // A grid over [0, 1): exact shares without a random number.
        var orders = Enumerable.Range(0, 1000).Select(i => string.Concat(route.Order(() => i / 1000.0).Select(t => t.Provider))).CountBy(o => o).ToDictionary();

        Assert.Equal(new Dictionary<string, int>(StringComparer.Ordinal) { ["abc"] = 750, ["bac"] = 250 }, orders);
    }

    [Fact]
    public void Where_there_is_nothing_to_draw_nothing_is_drawn()
        => Assert.Equal(
            ["a", "b"],
            new ModelRoute([[Target("a", 1)], [Target("b", 9)]]).Order(static () => throw new InvalidOperationException("drawn")).Select(t => t.Provider));

    private static WeightedTarget Target(string name, int weight) => new(SampleCalls.Target(name).Target, weight);
}
