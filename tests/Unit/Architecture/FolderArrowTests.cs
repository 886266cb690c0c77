using AiAspire.Core.Wire;

namespace AiAspire.Unit.Architecture;

public sealed class FolderArrowTests
{
    private const string SampleRoot = "AiAspire.Unit.Architecture.Sample";

    private static readonly TypeArrows Core = TypeArrows.Read(typeof(ChatRequest).Assembly);
    private static readonly FolderFloors Floors = new("AiAspire.Core");

    [Fact]
    public void Core_folders_use_only_what_lies_beneath_them() => Assert.Empty(Floors.Faults(Core.Arrows).Order(StringComparer.Ordinal));

    [Fact]
    public void Every_listed_arrow_of_one_floor_exists()
    {
        var drawn = Core.Arrows.Select(a => (Floors.FolderOf(a.FromNamespace), Floors.FolderOf(a.ToNamespace))).ToHashSet();

        Assert.All(FolderFloors.Listed, arrow => Assert.Contains(arrow, drawn));
    }

    [Fact]
    public void Every_folder_of_Core_has_a_floor()
        => Assert.All(
            Repository.Files("*.cs", "Core").Select(f => f.Split('/')[1]).Distinct(),
            folder => Assert.True(FolderFloors.FloorOf(folder) >= 0, $"Core/{folder} has no floor; give it one in {nameof(FolderFloors)}."));

    [Fact]
    public void Every_type_of_Core_stands_in_the_namespace_of_a_folder()
        => Assert.All(
            typeof(ChatRequest).Assembly.GetTypes().Where(t => t.Namespace?.StartsWith("AiAspire", StringComparison.Ordinal) == true),
            type => Assert.Contains(Floors.FolderOf(type.Namespace!), FolderFloors.Known));

    [Fact]
    public void A_forbidden_arrow_in_a_signature_or_a_body_is_reported_with_both_types()
    {
        var faults = new FolderFloors(SampleRoot).Faults(TypeArrows.Read(typeof(FolderArrowTests).Assembly).Arrows).ToList();

        Assert.Contains(faults, f => f.Contains("Sample.Data.LowInSignature → AiAspire.Unit.Architecture.Sample.Chat.High", StringComparison.Ordinal) && f.Contains("Data lies beneath Chat", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.Contains("Sample.Data.LowInBody → AiAspire.Unit.Architecture.Sample.Chat.High", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.Contains("Sample.Ledger.Neighbour → AiAspire.Unit.Architecture.Sample.Jobs.Other", StringComparison.Ordinal) && f.Contains("on one floor", StringComparison.Ordinal));
        Assert.Contains(faults, f => f.Contains("'Novelties' has no floor", StringComparison.Ordinal));
        Assert.DoesNotContain(faults, f => f.StartsWith($"{SampleRoot}.Chat", StringComparison.Ordinal));
    }
}
